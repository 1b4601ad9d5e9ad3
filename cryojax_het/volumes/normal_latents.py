"""A volume of latents that are even over a range, told in latents that are standard normal."""

import equinox as eqx
import jax
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from . import expanded
from .base import AbstractVolume
from .expanded import Expanded


class NormalLatents(AbstractVolume):
    """`V(r; τ(z))`: where `z` is standard normal, `τ` is even over the range of `source`.

    So every prior, search and sampler that knows of normal latents serves its volume.
    """

    source: Expanded
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, source: Expanded):
        self.source, self.latent_size = source, source.latent_size

    def within(self, latent: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """`τ` of `z`."""
        flat = latent.reshape(-1, latent.shape[-1])
        return jax.vmap(self.source.functions.of_normal)(flat).reshape(latent.shape)

    def slice(self, latent, rotation, grid):
        return self.source.slice(self.source.functions.of_normal(latent), rotation, grid)

    def density(self, latent, grid):
        return self.source.density(self.source.functions.of_normal(latent), grid)

    def prepare(self, grid):
        return NormalLatents(self.source.prepare(grid))


def example(key, grid: FourierGrid) -> NormalLatents:
    """An expanded volume; found by the law tests."""
    return NormalLatents(expanded.example(key, grid))
