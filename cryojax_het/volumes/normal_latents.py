"""A volume of latents that are even over a range, told in latents that are standard normal."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from . import expanded
from .base import AbstractVolume


class NormalLatents(AbstractVolume):
    """`V(r; τ(z))` with `τ = erf(z/√2)`: where `z` is standard normal, `τ` is even over [-1, 1].

    So every prior, search and sampler that knows of normal latents serves the volume of `source`.
    """

    source: AbstractVolume
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, source: AbstractVolume):
        self.source, self.latent_size = source, source.latent_size

    def within(self, latent: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """`τ` of `z`."""
        return jax.scipy.special.erf(latent * 0.5**0.5)

    def normal(self, tau: Float[Array, "*b d"]) -> Float[Array, "*b d"]:
        """`z` of `τ`; of the ends of the range, which are at infinity, of what is next to them."""
        end = 1 - 4 * jnp.finfo(tau.dtype).eps
        return jax.scipy.special.erfinv(jnp.clip(tau, -end, end)) * 2**0.5

    def slice(self, latent, rotation, grid):
        return self.source.slice(self.within(latent), rotation, grid)

    def density(self, latent, grid):
        return self.source.density(self.within(latent), grid)

    def prepare(self, grid):
        return NormalLatents(self.source.prepare(grid))


def example(key, grid: FourierGrid) -> NormalLatents:
    """An expanded volume; found by the law tests."""
    return NormalLatents(expanded.example(key, grid))
