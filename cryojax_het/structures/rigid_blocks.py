"""Modes of a structure of rigid blocks (rotations and translations of blocks, RTB).

Durand, Trinquier & Sanejouand 1994, Biopolymers 34; Tama et al. 2000, Proteins 41.
"""

from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from .hessian import rigid_motions, sparse_hessian, stiffness_scale
from .modes import AbstractModeSolver, sorted_modes
from .shift_invert import softest_pairs


@final
class RigidBlocks(AbstractModeSolver):
    """The softest modes in which every block moves rigidly: those of `PᵀHP`, lifted by `P`.

    - `blocks` `[n]`: the block of each node, numbered from 0.

    Eigenvalues are upper bounds of the full network's. The reduced problem is as sparse, and solved
    as `ShiftInvertLanczos` does the full one. Raises `ValueError` where the blocks have fewer modes
    than asked for.
    """

    blocks: Int[np.ndarray, " n"]

    def softest(self, network, count):
        lift = block_motions(network.positions, self.blocks)
        # Rigid motions of the whole are rigid motions of the blocks.
        rigid = lift.T @ rigid_motions(network.positions)
        internal = lift.shape[1] - rigid.shape[1]
        if count > internal:
            raise ValueError(f"These blocks have {internal} modes. Got {count}.")
        reduced = lift.T @ (sparse_hessian(network) @ lift)
        values, vectors = softest_pairs(reduced, rigid, stiffness_scale(network), count)
        return sorted_modes(values, lift @ vectors)


def block_motions(positions: Float[np.ndarray, "n 3"], blocks: Int[np.ndarray, " n"]) -> Any:
    """`P` `[3n, m]`, sparse, of orthonormal columns: the rigid motions of each block, 6 for most,
    5 for points on a line and 3 for a single one."""
    from scipy.sparse import csr_matrix

    order = np.argsort(blocks, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(blocks[order])) + 1)
    pieces, rows, columns, first = [], [], [], 0
    for mine in members:
        motions = rigid_motions(positions[mine])
        place = (3 * mine[:, None] + np.arange(3)).ravel()
        pieces.append(motions.ravel())
        rows.append(np.repeat(place, motions.shape[1]))
        columns.append(np.tile(first + np.arange(motions.shape[1]), len(place)))
        first += motions.shape[1]
    index = np.concatenate(rows), np.concatenate(columns)
    return csr_matrix((np.concatenate(pieces), index), shape=(3 * len(positions), first))
