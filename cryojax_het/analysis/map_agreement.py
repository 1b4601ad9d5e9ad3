"""Two sets of maps compared by Fourier shell correlation, each map with each.

All maps on one grid in one frame. The mean alone makes maps agree: compare `deviations` as well.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Complex, Float

from .chance import Score
from .fsc import fourier_shell_correlation, volume_shells
from .transport import transport_plan


def deviations(
    maps: Float[np.ndarray, "m n n n"], weight: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "m n n n"]:
    """Maps less their mean, weighted (by population)."""
    return maps - np.average(maps, axis=0, weights=weight).astype(maps.dtype)


def fsc_areas(
    first: Iterable[Float[np.ndarray, "..."]],
    second: Iterable[Float[np.ndarray, "..."]],
    mask: Float[np.ndarray, "n n n"],
    last: int,
) -> Float[np.ndarray, "a b"]:
    """Area under the FSC of each map of `first` (rows) with each of `second` (columns).

    The mean over shells 1 to `last` of the FSC of the maps times `mask`. Maps may come one by one;
    kept is only their band.

    Raises `ValueError` where `last` is not a shell of the box, or a map is of another size.
    """
    one, other = _units(first, mask, last), _units(second, mask, last)
    return np.real(one @ other.conj().T).astype(np.float64) / last


def fsc_curves(
    first: Iterable[Float[np.ndarray, "..."]],
    second: Iterable[Float[np.ndarray, "..."]],
    mask: Float[np.ndarray, "n n n"],
) -> Float[np.ndarray, "m s"]:
    """FSC of each map of `first` with that of the same place in `second`, under `mask`."""
    pairs = zip(first, second, strict=True)
    return np.stack([fourier_shell_correlation(a * mask, b * mask) for a, b in pairs])


def paired_agreement(areas: Float[np.ndarray, "m m"]) -> Score:
    """Mean area of maps that belong together (the diagonal): those of the same images, say.

    Chance is exact: that of shuffled partners, the mean off the diagonal.
    """
    count = len(areas)
    if count < 2:
        raise ValueError(f"Two pairs of maps at least have others to be held against. Got {count}.")
    together = float(np.trace(areas))
    return Score(together / count, (float(areas.sum()) - together) / (count * (count - 1)))


def set_agreement(
    areas: Float[np.ndarray, "a b"], first: Float[np.ndarray, " a"], second: Float[np.ndarray, " b"]
) -> Score:
    """Mean area of two sets of maps with populations `first` and `second`, at the best matching.

    The transport plan between the populations with the largest `Σ P area`: maps may be split among
    several. Chance is the mean over all pairs, `Σ p q area`.

    Raises `ValueError` where populations are not shares.
    """
    plan = transport_plan(first, second, areas.max() - areas)
    return Score(float(np.sum(plan * areas)), float(first @ areas @ second))


def _units(maps, mask, last) -> Complex[np.ndarray, "m k"]:
    """Transforms in shells 1 to `last`, of norm 1 in each: their products are sums of FSCs."""
    size = mask.shape[0]
    if not 1 <= last <= size // 2:
        raise ValueError(f"`last` must be a shell from 1 to {size // 2}. Got {last}.")
    shells = volume_shells(mask.shape)
    band = (shells >= 1) & (shells <= last)
    # Each stored frequency stands for itself and its mirror, except on the two self-paired planes.
    mirrored = np.full(shells.shape, 2.0)
    mirrored[..., [0, size // 2]] = 1.0
    shell, weight = shells[band], np.sqrt(mirrored[band])
    rows = []
    for volume in maps:
        if volume.shape != mask.shape:
            raise ValueError(f"The mask is {mask.shape}, a map {volume.shape}: resample one.")
        values = np.fft.rfftn(volume * mask)[band] * weight
        norm = np.sqrt(np.bincount(shell, np.abs(values) ** 2))[shell]
        rows.append(np.divide(values, norm, out=np.zeros_like(values), where=norm > 0))
    return np.stack(rows)
