"""Normal modes of an elastic network: the softest ways in which a structure deforms.

Nodes nearer to each other than a cutoff are joined by equal springs, at rest in the given
structure (anisotropic network model; Atilgan et al. 2001, Biophys. J. 80).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .atoms import Atoms

LARGEST = 3000  # nodes: the Hessian is dense, of (3 n)² numbers
_RIGID = 6


class Modes(NamedTuple):
    """Eigenvalues in units of the spring constant, and unit eigenvectors, the softest first."""

    eigenvalues: Float[np.ndarray, " k"]
    vectors: Float[np.ndarray, "k n 3"]


def hessian(
    positions: Float[np.ndarray, "n 3"], cutoff: float = 15.0
) -> Float[np.ndarray, "3*n 3*n"]:
    """Second derivatives of `½ Σ_{i<j} (|r_i - r_j| - d_ij)²` over pairs with `d_ij <= cutoff` (Å),
    at rest: blocks `-u uᵀ` for pairs of direction `u`, and their negative sums on the diagonal.
    """
    from scipy.spatial import KDTree

    count = len(positions)
    first, second = KDTree(positions).query_pairs(cutoff, output_type="ndarray").T
    along = positions[first] - positions[second]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    blocks = along[:, :, None] * along[:, None, :]
    matrix = np.zeros((count, 3, count, 3))
    matrix[first, :, second, :] = -blocks
    matrix[second, :, first, :] = -blocks
    diagonal = np.zeros((count, 3, 3))
    np.add.at(diagonal, first, blocks)
    np.add.at(diagonal, second, blocks)
    each = np.arange(count)
    matrix[each, :, each, :] = diagonal
    return matrix.reshape(3 * count, 3 * count)


def normal_modes(positions: Float[np.ndarray, "n 3"], count: int, cutoff: float = 15.0) -> Modes:
    """The `count` softest modes after the six rigid motions.

    Raises `ValueError` for more than 3000 nodes, and where the network falls apart or is loose:
    more than six motions then cost nothing.
    """
    from scipy.linalg import eigh

    nodes = len(positions)
    if not 3 <= nodes <= LARGEST:
        raise ValueError(
            f"An elastic network has 3 to {LARGEST} nodes. Got {nodes}: choose other atoms."
        )
    if not 1 <= count <= 3 * nodes - _RIGID:
        raise ValueError(f"{nodes} nodes have 1 to {3 * nodes - _RIGID} modes. Got {count}.")
    last = _RIGID + count - 1
    values, vectors = eigh(hessian(positions, cutoff), subset_by_index=[0, last])
    if values[_RIGID] < 1e-6:
        raise ValueError(f"The network has loose parts at a cutoff of {cutoff:g} Å: increase it.")
    return Modes(values[_RIGID:], vectors.T[_RIGID:].reshape(count, nodes, 3))


def nearest_nodes(atoms: Atoms, nodes: Int[np.ndarray, " n"]) -> Int[np.ndarray, " j"]:
    """Which of `nodes` (rows of `atoms`) each atom follows: the first of its own residue, or the
    nearest in space where its residue has none."""
    from scipy.spatial import KDTree

    from .selection import segment_numbers

    place = list(zip(segment_numbers(atoms).tolist(), atoms.residues.tolist(), strict=True))
    own: dict[tuple[int, int], int] = {}
    for number, row in enumerate(nodes.tolist()):
        own.setdefault(place[row], number)
    nearest = np.asarray(KDTree(atoms.positions[nodes]).query(atoms.positions)[1]).tolist()
    followed = [own.get(key, near) for key, near in zip(place, nearest, strict=True)]
    return np.array(followed, np.int64)
