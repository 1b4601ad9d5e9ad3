"""Latents inferred from a band of frequencies, whatever the images hold."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...imaging.grid import FourierGrid
from ...imaging.noise import AbstractGaussianNoise, ColouredNoise
from ..posterior import AbstractPosterior
from ..requirements import gaussian_noise
from .as_given import AsGiven


class BandLimited(AbstractPosterior):
    """Another posterior, of the images cropped to `size` pixels, frequencies below shell
    `first` left out.

    Fewer frequencies are fewer slices' samples; and low ones, where contrast, ice and neighbours
    are, or high ones, where there is only noise, may not be wanted in latents. `size` None: all.
    `TypeError` for noise that is not Gaussian.
    """

    inner: AbstractPosterior = AsGiven()
    size: int | None = eqx.field(static=True, default=None)
    first: int = eqx.field(static=True, default=0)

    def infer(self, key, volume, noise, prior, batch, grid):
        size = grid.size if self.size is None else min(self.size, grid.size)
        noise = gaussian_noise(noise, "BandLimited")
        crop = jax.vmap(lambda image: grid.crop_transform(image, size))
        smaller = eqx.tree_at(lambda b: b.images, batch, crop(batch.images))
        small = grid.crop(size)
        silent = without_shells(noise, self.first, small)
        return self.inner.infer(key, volume, silent, prior, smaller, small)


def without_shells(
    noise: AbstractGaussianNoise, first: int, grid: FourierGrid
) -> AbstractGaussianNoise:
    """The same noise, infinite in shells 0 to `first` - 1."""
    if first == 0:
        return noise
    if isinstance(noise, ColouredNoise):
        power = noise.power
    else:
        # One row for all groups: an index beyond the last row reads the last.
        power = jnp.full((1, grid.size // 2 + 1), noise.variance(grid)[0, 1] / grid.length**2)
    return ColouredNoise(jnp.where(np.arange(power.shape[-1]) < first, jnp.inf, power))
