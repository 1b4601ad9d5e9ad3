"""A reference mixture of Gaussians and what moves it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..imaging.grid import FourierGrid
from .base import AbstractVolume
from .displacement import AbstractDisplacement
from .gaussian_mixture import GaussianMixture
from .mixture import AbstractMixture


class DisplacedMixture(AbstractVolume):
    """`V(r; z) = Σ_j a_j(z) N(r; c_j + u_j(z), s_j(z)²)`; `displacement` gives `u`, `a` and `s`."""

    reference: AbstractMixture
    displacement: AbstractDisplacement
    latent_size: int = eqx.field(static=True)

    def __init__(self, reference: AbstractMixture, displacement: AbstractDisplacement):
        self.reference, self.displacement = reference, displacement
        self.latent_size = displacement.latent_size

    def at(self, latent: Float[Array, " d"]) -> AbstractMixture:
        """The mixture in conformation `latent`."""
        change = self.displacement.change(latent, self.reference.positions)
        return self.reference.changed(change)

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        return self


def example_reference(key: PRNGKeyArray, grid: FourierGrid) -> GaussianMixture:
    """Twenty-four Gaussians of one width, for the law tests of displacements."""
    return GaussianMixture(
        positions=0.09 * grid.length * jax.random.normal(key, (24, 3)),
        amplitudes=jnp.linspace(0.5, 1.5, 24),
        widths=grid.pixel_size * jnp.array([1.8]),
        sizes=(24,),
    )
