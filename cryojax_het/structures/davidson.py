"""Smallest eigenvalues of a large symmetric matrix with the help of a preconditioner.

Block Davidson iterations whose restarts keep the previous Ritz vectors (GD+k): Stathopoulos & Saad
1998, Electron. Trans. Numer. Anal. 7. Without room to grow it is LOBPCG.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

Operator = Callable[[Float[np.ndarray, "m b"]], Float[np.ndarray, "m b"]]


class Davidson(NamedTuple):
    """When to stop, and how much to keep.

    - `tolerance`: largest `|Hv - λv| / max(λ, floor)`; errors of λ are of its square.
    - `room`: blocks of vectors held before a restart.
    """

    tolerance: float = 1e-3
    iterations: int = 200
    room: int = 5


class Eigenpairs(NamedTuple):
    """Eigenvalues and columns of eigenvectors, and the iterations that they took."""

    values: Float[np.ndarray, " k"]
    vectors: Float[np.ndarray, "m k"]
    iterations: int


class _Basis(NamedTuple):
    """Orthonormal columns and their images under the matrix."""

    vectors: Float[np.ndarray, "m b"]
    images: Float[np.ndarray, "m b"]

    def combined(self, turn) -> "_Basis":
        return _Basis(self.vectors @ turn, self.images @ turn)


def smallest(
    matrix: Any,
    start: Float[np.ndarray, "m b"],
    count: int,
    precondition: Operator,
    how: Davidson,
    floor: float,
) -> Eigenpairs:
    """The `count` smallest eigenvalues of `matrix` from the `b >= count` columns of `start`; both
    `start` and what `precondition` gives must avoid directions that are to be left out.

    Raises `RuntimeError` where `iterations` do not suffice.
    """
    vectors = np.linalg.qr(start)[0]
    basis = _Basis(vectors, matrix @ vectors)
    width, previous = start.shape[1], np.zeros((0, 0))
    for iteration in range(1, how.iterations + 1):
        values, turn = np.linalg.eigh(_symmetric(basis.vectors.T @ basis.images))
        ritz = basis.combined(turn[:, :width])
        residual = ritz.images - ritz.vectors * values[:width]
        size = np.linalg.norm(residual, axis=0) / np.maximum(values[:width], floor)
        if np.all(size[:count] < how.tolerance):
            return Eigenpairs(values[:count], ritz.vectors[:, :count], iteration)
        active = size >= how.tolerance
        if basis.vectors.shape[1] + active.sum() > how.room * width:
            basis = basis.combined(_kept(turn[:, :width], previous))
            turn = np.eye(basis.vectors.shape[1])
        previous = turn[:, :width]
        new = _orthonormal(precondition(residual[:, active]), basis.vectors)
        images = matrix @ new
        basis = _Basis(np.hstack([basis.vectors, new]), np.hstack([basis.images, images]))
    raise RuntimeError(
        f"{how.iterations} iterations leave a residual of {size[:count].max():.1e}, above "
        f"{how.tolerance:.1e}: allow more."
    )


def _kept(ritz, previous):
    """Orthonormal combinations of the basis: the Ritz vectors, and the ones before them."""
    padded = np.zeros((len(ritz), previous.shape[1]))
    padded[: len(previous)] = previous
    old = padded - ritz @ (ritz.T @ padded)
    left, singular, _ = np.linalg.svd(old, full_matrices=False)
    return np.hstack([ritz, left[:, singular > 1e-8]])


def _orthonormal(new, basis):
    """Orthonormal, at right angles to the basis; combinations that hold nothing new are dropped.

    By the eigenvectors of the Gram matrix, which is one pass over the columns (Stathopoulos & Wu
    2002, SIAM J. Sci. Comput. 23); what the first round leaves by rounding the second takes out.
    """
    for _ in range(2):
        new = new / np.linalg.norm(new, axis=0)
        new = new - basis @ (basis.T @ new)
        values, turn = np.linalg.eigh(new.T @ new)
        held = values > 1e-12 * values[-1]
        new = new @ (turn[:, held] / np.sqrt(values[held]))
    return new


def _symmetric(matrix):
    return (matrix + matrix.T) / 2
