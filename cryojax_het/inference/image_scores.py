"""What a model explains of every image: the few numbers that outlier scores are made of.

One pass over the images; afterwards the contrast, the residual and likelihood ratios of each image
follow from its numbers, for any scale of contrast and noise, without looking at pixels again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Integer

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, render
from ..imaging.noise import AbstractNoise
from ..imaging.spectrum import shell_counts, shell_sum
from ..particles.loader import Loader
from ..volumes.base import AbstractVolume
from .devices import to_host
from .requirements import gaussian_noise


class BandProducts(eqx.Module):
    """Inner products of each image `[b]` in each band of shells `[k]`, over the noise's variance.

    With y the image, x the model at its latents and x₀ at the neutral latent, both at contrast 1:
    `observed = <y, y>`, `cross = <x, y>`, `power = <x, x>`, and the same of x₀.
    """

    observed: Float[Array, "*b k"]
    cross: Float[Array, "*b k"]
    power: Float[Array, "*b k"]
    neutral_cross: Float[Array, "*b k"]
    neutral_power: Float[Array, "*b k"]


@final
@dataclass(frozen=True, kw_only=True)
class ImageProducts:
    """`BandProducts` of N images, on the host, with the real degrees of freedom of each band.

    `edges`: the shells at which bands begin, and one past the last.
    """

    observed: Float[np.ndarray, "n k"]
    cross: Float[np.ndarray, "n k"]
    power: Float[np.ndarray, "n k"]
    neutral_cross: Float[np.ndarray, "n k"]
    neutral_power: Float[np.ndarray, "n k"]
    freedom: Float[np.ndarray, " k"]
    edges: Int[np.ndarray, " e"]

    def __len__(self) -> int:
        return len(self.observed)


_NAMES = tuple(field.name for field in fields(BandProducts))


def band_edges(grid: FourierGrid, bands: int = 8) -> Int[np.ndarray, " e"]:
    """Shells at which about `bands` bands of equal width begin, from shell 1 (shell 0 is the grey
    level, which background subtraction moves) to the last whole one, and one past it."""
    last = grid.size // 2
    return np.unique(np.linspace(1, last, min(bands, last - 1) + 1).round().astype(np.int64))


@final
class ScorePass(eqx.Module):
    """One pass of a `volume` and its `noise` over images; `neutral`: the conformation that
    stands for a molecule that does not move (of a linear volume 0: the mean).

    `TypeError` for noise that is not Gaussian.
    """

    volume: AbstractVolume
    noise: AbstractNoise
    neutral: Float[Array, " d"]
    grid: FourierGrid
    edges: tuple[int, ...] = eqx.field(static=True)

    def products(self, batch: Batch) -> BandProducts:
        """Of every image of a batch, at the latents that travel with it."""
        noise = gaussian_noise(self.noise, "ScorePass")
        volume = self.volume.prepare(self.grid)
        bands = jnp.asarray(_band_matrix(self.edges, self.grid.size // 2 + 1))

        def one(image, latents, optics):
            latents = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones_like(latents.contrast))
            still = eqx.tree_at(lambda t: t.conformation, latents, self.neutral)
            model = render(volume, latents, optics, self.grid)
            neutral = render(volume, still, optics, self.grid)
            variance = noise.of_group(optics.group).variance(self.grid)
            pairs = (image, image), (model, image), (model, model)
            pairs += (neutral, image), (neutral, neutral)
            shells = [shell_sum(_real_product(a, b) / variance, self.grid) for a, b in pairs]
            return BandProducts(*(jnp.asarray(s @ bands.astype(s.dtype)) for s in shells))

        return jax.vmap(one)(batch.images, batch.latents, batch.optics)

    def table(self, count: int) -> ImageProducts:
        """Of `count` images, NaN until `fill` meets them."""
        bands = _band_matrix(self.edges, self.grid.size // 2 + 1)
        columns = {name: np.full((count, bands.shape[1]), np.nan, np.float32) for name in _NAMES}
        freedom = shell_counts(self.grid) @ bands
        return ImageProducts(**columns, freedom=freedom, edges=np.asarray(self.edges))

    def fill(
        self, table: ImageProducts, loader: Loader, plan: Sequence[Integer[np.ndarray, " _"]]
    ) -> Iterator[int]:
        """Goes through the images of `plan` and sets their rows of `table`; yields after each batch
        how many images it had."""
        compute = eqx.filter_jit(lambda scores, batch: scores.products(batch))
        # Prepared once: not in every batch.
        ready = eqx.tree_at(lambda s: s.volume, self, self.volume.prepare(self.grid))
        for rows, batch in zip(plan, loader.batches(plan), strict=True):
            found, index, weight = to_host((compute(ready, batch), batch.index, batch.weight))
            real = weight > 0
            for name in _NAMES:
                getattr(table, name)[index[real]] = getattr(found, name)[real]
            yield len(rows)


def _real_product(a, b):
    return a.real * b.real + a.imag * b.imag


def _band_matrix(edges, shells) -> Float[np.ndarray, "s k"]:
    """1 where a shell belongs to a band."""
    shell = np.arange(shells)[:, None]
    lower, upper = np.asarray(edges[:-1]), np.asarray(edges[1:])
    return ((shell >= lower) & (shell < upper)).astype(np.float64)
