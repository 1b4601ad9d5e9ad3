"""How large coefficients of a hyper-molecule are expected to be.

    a_kp ~ N(0, S(f_k) (1 + p)^(-2s)),   s = 2

`S` the power of the consensus at a function's mean frequency `f_k`, `p` the order in the latent: a
molecule is about as smooth in space as its consensus, and smooth along its motion. Of many images,
the variances themselves can be learned.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...volumes.latent_functions.base import AbstractLatentFunctions
from ...volumes.prolate.spatial_basis import AbstractSpatialBasis

_SMOOTHNESS = 2.0  # s
_BINS = 12


def prior_variance(
    basis: AbstractSpatialBasis, consensus: Float[Array, " k"], functions: AbstractLatentFunctions
) -> Float[Array, "k p"]:
    """Prior variances of coefficients; `consensus`: those of the mean over all images."""
    power = _smoothed(basis, consensus[:, None] ** 2)
    decay = (1.0 + functions.orders()) ** (-2 * _SMOOTHNESS)
    return power * jnp.asarray(decay, consensus.dtype)


def learned_variance(
    basis: AbstractSpatialBasis, coefficients: Float[Array, "k p"], uncertain: Float[Array, "k p"]
) -> Float[Array, "k p"]:
    """The prior variances under which these coefficients, and what is uncertain of them, are the
    most likely: of each function of the latent its own spectrum (MacKay 1992, Neural Comput. 4)."""
    return _smoothed(basis, coefficients**2 + uncertain)


def _smoothed(basis, squares: Float[Array, "k p"]) -> Float[Array, "k p"]:
    """Means over functions of about one frequency."""
    frequency = np.asarray(basis.mean_frequencies())
    edges = np.quantile(frequency, np.linspace(0, 1, _BINS + 1))[1:-1]
    place = np.searchsorted(edges, frequency)
    members = jnp.asarray(place[:, None] == np.arange(_BINS), squares.dtype)
    power = jnp.matmul(members.T, squares, precision="highest")
    power = power / jnp.maximum(members.sum(axis=0), 1)[:, None]
    return jnp.maximum(power, 1e-6 * power.max(axis=0))[place]
