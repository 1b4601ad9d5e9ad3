"""Atoms that are no nodes of a network, and the nodes that they follow."""

import numpy as np
from jaxtyping import Int

from .atoms import Atoms
from .partition import residue_numbers


def nearest_nodes(atoms: Atoms, nodes: Int[np.ndarray, " n"]) -> Int[np.ndarray, " j"]:
    """Which of `nodes` (rows of `atoms`) each atom follows: the first of its own residue, or the
    nearest in space where its residue has none."""
    from scipy.spatial import KDTree

    residue = residue_numbers(atoms)
    followed = np.asarray(KDTree(atoms.positions[nodes]).query(atoms.positions)[1])
    mine, first = np.unique(residue[nodes], return_index=True)
    own = np.full(residue[-1] + 1, -1, np.int64)
    own[mine] = first
    return np.where(own[residue] >= 0, own[residue], followed)
