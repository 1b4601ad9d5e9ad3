"""Displacement along fixed directions, such as the normal modes of an elastic network."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change


class NormalModes(AbstractDisplacement):
    """Eq. 7: `u_j(b) = Σ_k b_k Δ_kj`. The latent is the amplitudes `b`.

    `vectors` `[k, j, 3]`, one for each Gaussian: for eigenvectors of unit length, `b` is in Å times
    the square root of the number of nodes, and its prior is a `ModePrior`. Linear modes stretch
    bonds once they move atoms by more than 2 or 3 Å. (Tama et al. 2002, J. Mol. Biol. 321.)
    """

    vectors: Float[Array, "k j 3"]
    latent_size: int = eqx.field(static=True)

    def __init__(self, vectors: Float[Array, "k j 3"]):
        self.vectors, self.latent_size = vectors, len(vectors)

    def change(self, latent, positions):
        del positions
        return Change(jnp.einsum("k,kja->ja", latent, self.vectors, precision="highest"))


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Two modes of a few Gaussians, half a pixel each; found by the law tests."""
    reference = example_reference(key, grid)
    vectors = 0.5 * grid.pixel_size * jax.random.normal(key, (2, *reference.positions.shape))
    return DisplacedMixture(reference, NormalModes(vectors))
