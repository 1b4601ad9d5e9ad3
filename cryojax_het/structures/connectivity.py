"""Paths along bonds: the angles and torsions that a molecule has, and which atoms are near."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Connectivity(NamedTuple):
    """Rows of atoms (or beads), each set once.

    - `bonds`: pairs `i < j`;
    - `angles`: `(i, j, k)` about `j`;
    - `torsions`: `(i, j, k, l)` about the bond `(j, k)`, all four different;
    - `near`: pairs `i < j` at most three bonds apart, which do not count as contacts.
    """

    bonds: Int[np.ndarray, "p 2"]
    angles: Int[np.ndarray, "a 3"]
    torsions: Int[np.ndarray, "t 4"]
    near: Int[np.ndarray, "e 2"]

    def in_order(self, order: Int[np.ndarray, " j"]) -> "Connectivity":
        """The same where atom `order[m]` has become atom `m`, as in a mixture sorted by width."""
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        moved = Connectivity(*(place[rows] for rows in self))
        return moved._replace(bonds=np.sort(moved.bonds, axis=1), near=np.sort(moved.near, axis=1))


def connectivity(bonds: Int[np.ndarray, "p 2"]) -> Connectivity:
    """All angles and torsions along `bonds`; a triangle of bonds has angles and no torsion."""
    bonds = np.unique(np.sort(bonds, axis=1), axis=0).astype(np.int64)
    directed = np.concatenate([bonds, bonds[:, ::-1]])
    angles = _joined(directed, directed)  # i -> j -> k
    angles = angles[angles[:, 0] < angles[:, 2]]
    steps = _joined(directed, bonds)  # i -> j -> k, j < k
    torsions = _joined(steps[steps[:, 0] != steps[:, 2]], directed)
    torsions = torsions[(torsions[:, 3] != torsions[:, 1]) & (torsions[:, 3] != torsions[:, 0])]
    ends = [bonds, angles[:, [0, 2]], torsions[:, [0, 3]]]
    near = np.unique(np.sort(np.concatenate(ends), axis=1), axis=0)
    return Connectivity(bonds, _sorted(angles), _sorted(torsions), near)


def _joined(paths, steps):
    """Every path followed by every step (from, to) that starts where it ends."""
    steps = steps[np.argsort(steps[:, 0], kind="stable")]
    begin = np.searchsorted(steps[:, 0], paths[:, -1], side="left")
    count = np.searchsorted(steps[:, 0], paths[:, -1], side="right") - begin
    path = np.repeat(np.arange(len(paths)), count)
    within = np.arange(len(path)) - np.repeat(np.cumsum(count) - count, count)
    step = np.repeat(begin, count) + within
    return np.concatenate([paths[path], steps[step, 1:]], axis=1)


def _sorted(rows):
    return rows[np.lexsort(rows.T[::-1])]
