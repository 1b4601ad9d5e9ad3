"""Soft modes by Lanczos iterations on the inverse of the Hessian."""

from typing import Any, final

import numpy as np
from jaxtyping import Float

from .hessian import rigid_motions, sparse_hessian, stiffness_scale
from .linear_operator import symmetric_operator
from .modes import AbstractModeSolver, sorted_modes

_SHIFT = 1e-9  # of the largest stiffness: makes the Hessian, singular by rigid motions, invertible


@final
class ShiftInvertLanczos(AbstractModeSolver):
    """ARPACK on `Q (H + ε I)⁻¹ Q`, `H` factorised once, `Q` the projection away from rigid motions.

    Exact to rounding; the factors of large networks fill up: about 1 GB for 5,000 atoms.
    """

    def softest(self, network, count):
        rigid = rigid_motions(network.positions)
        hessian = sparse_hessian(network)
        return sorted_modes(*softest_pairs(hessian, rigid, stiffness_scale(network), count))


def softest_pairs(
    matrix: Any, free: Float[np.ndarray, "m r"], scale: float, count: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "m k"]]:
    """Smallest eigenvalues and eigenvectors of a sparse positive `matrix` `[m, m]`, at right angles
    to the orthonormal columns `free`, which cost nothing; `scale` is of its largest eigenvalue.

    Eigenvalues are Rayleigh quotients of the matrix itself.
    """
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import eigsh, splu

    size = matrix.shape[0]
    # Symmetric and positive: no pivoting, and an ordering of the graph itself.
    factors = splu(
        (matrix + _SHIFT * scale * eye_array(size)).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    project = lambda v: v - free @ (free.T @ v)
    inverse = symmetric_operator(size, lambda v: project(factors.solve(project(np.ravel(v)))))
    start = project(np.random.default_rng(0).normal(size=size))
    _, vectors = eigsh(inverse, count, which="LA", v0=start)
    vectors = np.linalg.qr(project(vectors))[0]
    values, turn = np.linalg.eigh(vectors.T @ (matrix @ vectors))
    return np.maximum(values, 0), vectors @ turn
