"""Functions of a latent by name, as settings and run folders have them."""

from collections.abc import Callable, Mapping

from .base import AbstractLatentFunctions
from .circle import CircleInPlane
from .interval import Chebyshev, Cosine, Legendre
from .products import TotalOrder

KINDS: Mapping[str, Callable[[int], AbstractLatentFunctions]] = {
    "legendre": Legendre,
    "chebyshev": Chebyshev,
    "cosine": Cosine,
    "fourier": CircleInPlane,
}


def latent_functions(kind: str, latents: int, order: int) -> AbstractLatentFunctions:
    """Of one latent, or of several alike, truncated by total order. `ValueError` for an unknown
    kind, or no latent."""
    if kind not in KINDS or latents < 1:
        raise ValueError(
            f"Functions must be one of {', '.join(KINDS)}, of at least one latent. Got {kind!r} of "
            f"{latents}."
        )
    axes = tuple(KINDS[kind](order) for _ in range(latents))
    return axes[0] if latents == 1 else TotalOrder(axes, order)
