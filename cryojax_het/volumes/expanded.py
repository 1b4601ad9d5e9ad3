"""Any linear volume whose coordinates are functions of a latent."""

import equinox as eqx
import jax
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from . import linear
from .base import AbstractVolume
from .latent_functions.base import AbstractLatentFunctions
from .latent_functions.interval import Legendre
from .linear import FourierLinear, LinearVolume


class Expanded(AbstractVolume):
    """`V(r; τ) = mean(r) + Σ_{p>0} T_p(τ) X_p(r)`: a curve, or a surface, in the span of the
    components of `terms`.

    Raises `ValueError` where there are not as many components as functions but the constant.
    """

    functions: AbstractLatentFunctions
    terms: LinearVolume | FourierLinear
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, functions: AbstractLatentFunctions, terms: LinearVolume | FourierLinear):
        if terms.latent_size != functions.count - 1:
            raise ValueError(
                f"{functions.count} functions of the latent need as many volumes. Got a mean and "
                f"{terms.latent_size} components."
            )
        self.functions, self.terms, self.latent_size = functions, terms, functions.latent_size

    def coordinates(self, latent: Float[Array, " d"]) -> Float[Array, " p"]:
        """Of the linear volume, at a latent."""
        return self.functions(latent)[1:]

    def slice(self, latent, rotation, grid):
        return self.terms.slice(self.coordinates(latent), rotation, grid)

    def density(self, latent, grid):
        return self.terms.density(self.coordinates(latent), grid)

    def prepare(self, grid):
        ready = self.terms.prepare(grid)
        assert isinstance(ready, LinearVolume | FourierLinear)
        return Expanded(self.functions, ready)


def example(key, grid: FourierGrid) -> Expanded:
    """A curve of third order; found by the law tests."""
    return Expanded(Legendre(3), linear.example(jax.random.fold_in(key, 1), grid))
