"""Second derivatives of an elastic network's energy at rest, as a sparse matrix."""

from typing import Any

import numpy as np
from jaxtyping import Float

from .network import Network


def sparse_hessian(network: Network) -> Any:
    """`H` `[3n, 3n]` in SciPy's block format, blocks 3 x 3: `-γ u uᵀ` for a pair of direction `u`,
    and the negative sum of its row on the diagonal."""
    from scipy.sparse import bsr_matrix

    count = len(network.positions)
    along = network.directions()
    blocks = along[:, :, None] * (network.stiffness[:, None] * along)[:, None, :]
    diagonal = _row_sums(network, blocks)
    first, second = network.pairs.T
    each = np.arange(count)
    rows = np.concatenate([first, second, each])
    columns = np.concatenate([second, first, each])
    order = np.lexsort((columns, rows))
    data = np.concatenate([-blocks, -blocks, diagonal])[order]
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    index = columns[order].astype(np.int32), ends.astype(np.int32)
    return bsr_matrix((data, *index), shape=(3 * count, 3 * count))


def diagonal_blocks(network: Network) -> Float[np.ndarray, "n 3 3"]:
    """`H_ii`: what it costs to move one node alone."""
    along = network.directions()
    blocks = along[:, :, None] * (network.stiffness[:, None] * along)[:, None, :]
    return _row_sums(network, blocks)


def stiffness_scale(network: Network) -> float:
    """Largest eigenvalue `μ` of any diagonal block; that of the Hessian is from `μ` to `2μ`."""
    return float(np.linalg.eigvalsh(diagonal_blocks(network))[:, -1].max())


def rigid_motions(positions: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "3*n r"]:
    """Orthonormal translations and rotations of these points: 6, or 5 where they lie on a line,
    or 3 for a single one."""
    centred = positions - positions.mean(axis=0)
    moves = np.zeros((len(positions), 3, 6))
    moves[:, :, :3] = np.eye(3)
    moves[:, :, 3:] = np.stack([np.cross(axis, centred) for axis in np.eye(3)], axis=2)
    size = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
    moves[:, :, 3:] /= max(size, 1e-9)
    left, singular, _ = np.linalg.svd(moves.reshape(-1, 6), full_matrices=False)
    # A rotation about the line on which all points lie moves nothing.
    return left[:, singular > 1e-6 * singular[0]]


def _row_sums(network, blocks):
    sums = np.zeros((len(network.positions), 3, 3))
    for row, column in np.ndindex(3, 3):
        for end in network.pairs.T:
            sums[:, row, column] += np.bincount(end, blocks[:, row, column], len(sums))
    return sums
