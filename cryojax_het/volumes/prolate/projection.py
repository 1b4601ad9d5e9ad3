"""Coefficients of given maps."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from .basis import ProlateBasis
from .voxels import voxels_of

_STEPS = 30  # of conjugate gradients: the system is near the shares of energy, all above one half


def projected(
    basis: ProlateBasis, maps: Float[Array, "p n n n"], grid: FourierGrid
) -> Float[Array, "k p"]:
    """The least-squares coefficients of maps on the box of `grid`, `S⁺ v`, `S` as `voxels_of`."""
    zero = jnp.zeros((basis.size, len(maps)), maps.dtype)
    made = lambda a: voxels_of(basis, a, grid)
    back = jax.linear_transpose(made, zero)
    scale = grid.pixel_size**3  # functions of unit norm: SᵀS is near the identity after it
    normal = lambda a: scale * back(made(a))[0]
    right = scale * back(maps)[0]
    return jax.scipy.sparse.linalg.cg(normal, right, maxiter=_STEPS, tol=1e-5)[0]
