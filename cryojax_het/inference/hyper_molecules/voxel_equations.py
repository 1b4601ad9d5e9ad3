"""Coefficients of prolate functions from normal equations of voxels.

With the convolutions `K` of exact block equations and `S` the voxels of the functions,

    Sᵀ K S a + a / σ² = Sᵀ b

by conjugate gradients: an iteration costs the same however many images there are, and nothing of
`k²` numbers is held. Unknowns are in units of their prior's widths. The preconditioner is a system
of all functions of the latent for each function in space, its weights those of plane waves of its
mean frequency.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from ...volumes.prolate.basis import ProlateBasis
from ...volumes.prolate.voxels import voxels_of
from ..updates import wiener
from ..updates.block_equations import inverse_of_cells, square_of_triangle
from ..updates.conjugate_gradients import Stopping, conjugate_gradients
from ..updates.exact_blocks import ExactBlockEquations, convolved
from ..updates.toeplitz import plane_wave_weights


class BasisSolution(NamedTuple):
    """Coefficients `[k, p]`, and about how uncertain each is: its posterior variance."""

    coefficients: Float[Array, "k p"]
    variance: Float[Array, "k p"]


def solve_in_basis(
    equations: ExactBlockEquations,
    basis: ProlateBasis,
    variance: Float[Array, "k p"],
    start: Float[Array, "k p"],
    grid: FourierGrid,
    stopping: Stopping,
) -> BasisSolution:
    """The most probable coefficients under prior variances; `grid`: of the box of the equations.

    A variance of 0 keeps a coefficient at 0.
    """
    scale, place = grid.pixel_size**3, square_of_triangle(equations.count)
    made = lambda a: scale * voxels_of(basis, a, grid)
    back = jax.linear_transpose(made, start)
    kernels = equations.convolutions()
    spectra = jax.lax.map(lambda k: jnp.fft.rfftn(jnp.fft.ifftshift(k)).real, kernels)
    width = jnp.sqrt(variance)
    cells = _cells(kernels, basis, width, grid)[:, place]
    inverse = inverse_of_cells(cells)

    def operator(b):
        return width * back(convolved(spectra, place, made(width * b)))[0] + b

    def precondition(b):
        return jnp.einsum("kpq,kq->kp", inverse, b, precision="highest")

    right = width * back(equations.right_hand_side())[0]
    begin = jnp.where(width > 0, start / jnp.where(width > 0, width, 1), 0)
    found = conjugate_gradients(operator, right, precondition, begin, stopping)
    own = jnp.diagonal(inverse, axis1=1, axis2=2)
    return BasisSolution(width * found.x, variance * own)


def _cells(kernels, basis, width, grid) -> Float[Array, "k t"]:
    """The triangle of each function's system: `width_p W_pq width_q + δ_pq`."""
    n = grid.size
    weights = jax.lax.map(plane_wave_weights, kernels)
    shells, inside = wiener.shells_inside(n, n)
    of_shell = jax.vmap(lambda w: wiener.shell_mean(w, shells, inside, n))(weights)
    at = basis.mean_frequencies() * grid.length
    steps = jnp.arange(of_shell.shape[1], dtype=of_shell.dtype)
    own = jax.vmap(lambda w: jnp.interp(at, steps, w))(of_shell).T
    own = own * basis.shares()[:, None] * grid.pixel_size**3
    rows, columns = np.triu_indices(width.shape[1])
    return own * width[:, rows] * width[:, columns] + jnp.asarray(rows == columns, own.dtype)
