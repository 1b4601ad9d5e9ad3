"""Displacement along fixed directions whose widths are learned."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change


class ScaledModes(AbstractDisplacement):
    """`u_j(z) = Σ_k z_k w_k Δ_kj`: Eq. 7 with amplitudes in units of their widths `w`, so that the
    latent's prior is standard normal, and the widths are the model's to learn.

    `vectors` `[k, j, 3]` and `log_width`, the logarithm of `w` in Å per unit of a vector.
    """

    vectors: Float[Array, "k j 3"]
    log_width: Float[Array, " k"]
    latent_size: int = eqx.field(static=True)

    def __init__(self, vectors: Float[Array, "k j 3"], log_width: Float[Array, " k"]):
        self.vectors, self.log_width, self.latent_size = vectors, log_width, len(vectors)

    def change(self, latent, positions):
        del positions
        amplitudes = latent * jnp.exp(self.log_width)
        return Change(jnp.einsum("k,kja->ja", amplitudes, self.vectors, precision="highest"))


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Two modes of a few Gaussians; found by the law tests."""
    reference = example_reference(key, grid)
    vectors = grid.pixel_size * jax.random.normal(key, (2, *reference.positions.shape))
    return DisplacedMixture(reference, ScaledModes(vectors, jnp.log(jnp.array([0.4, 0.6]))))
