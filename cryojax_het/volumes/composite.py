"""A molecule as a sum of volumes, each with a latent of its own.

    V(r; z¹, z², ...) = Σ_m V_m(r; z^m)

What a region has of parameters is its own: their number grows with the number of regions, where
one volume of all latents grows with their product. (Lederman, Andén & Singer 2020, Inverse
Problems 36, of regions that move apart.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from . import moving_region, placed
from .base import AbstractVolume


class Composite(AbstractVolume):
    """The sum of `parts`; the latent is that of each part, one after the other.

    `ValueError` where there is no part.
    """

    parts: tuple[AbstractVolume, ...]
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, parts: tuple[AbstractVolume, ...]):
        if not parts:
            raise ValueError("A composite volume needs at least one part. Got none.")
        self.parts = parts
        self.latent_size = sum(part.latent_size for part in parts)

    def latents(self, latent: Float[Array, " d"]) -> list[Float[Array, " _"]]:
        """The latent of each part."""
        return jnp.split(latent, np.cumsum([part.latent_size for part in self.parts])[:-1])

    def slice(self, latent, rotation, grid):
        own = zip(self.parts, self.latents(latent), strict=True)
        views = [part.slice(z, rotation, grid) for part, z in own]
        return sum(views[1:], views[0])

    def density(self, latent, grid):
        own = zip(self.parts, self.latents(latent), strict=True)
        terms = [part.density(z, grid) for part, z in own]
        return sum(terms[1:], terms[0])

    def prepare(self, grid):
        return Composite(tuple(part.prepare(grid) for part in self.parts))


def example(key, grid: FourierGrid) -> Composite:
    """A region that stays where it is, and one that moves; found by the law tests."""
    first, second = jax.random.split(key)
    return Composite((placed.example(first, grid), moving_region.example(second, grid)))
