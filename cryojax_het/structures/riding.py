"""Atoms that ride on the beads of a coarse model."""

import numpy as np
from jaxtyping import Float, Int

_AT_REST = 1e-3  # Å: atoms so near their beads are the beads, and have nothing to turn
_SMALLEST = 1e-6  # of a neighbourhood's moments: where it leaves a turn open, the smallest is taken


def riding(
    atoms: Float[np.ndarray, "n 3"],
    follows: Int[np.ndarray, " n"],
    rest: Float[np.ndarray, "j 3"],
    moved: Float[np.ndarray, "m j 3"],
    count: int = 6,
) -> Float[np.ndarray, "m n 3"]:
    """`moved_b + R_b (atom - rest_b)` of each atom, `b` the bead that it follows.

    `R_b` turns the `count` beads nearest to `b` at rest, itself among them, as nearly as a rotation
    can to where they moved (Kabsch 1976, Acta Cryst. A32), so that a part that turns takes its
    atoms along as a rigid body: atoms that were only shifted with their beads would lose the
    lengths of bonds between them.
    """
    moved = np.asarray(moved, np.float64)
    offset = np.asarray(atoms, np.float64) - rest[follows]
    places = moved[:, follows]
    if np.abs(offset).max(initial=0) < _AT_REST:
        return places + offset
    turns = local_turns(np.asarray(rest, np.float64), moved, count)
    for frame, turn in zip(places, turns, strict=True):
        frame += np.einsum("nij,nj->ni", turn[follows], offset)
    return places


def local_turns(
    rest: Float[np.ndarray, "j 3"], moved: Float[np.ndarray, "m j 3"], count: int
) -> Float[np.ndarray, "m j 3 3"]:
    """The rotation of each bead's `count` nearest beads at rest, in each of m conformations."""
    from scipy.spatial import KDTree

    count = min(count, len(rest))
    near = KDTree(rest).query(rest, count)[1].reshape(len(rest), count)
    away = rest[near] - rest[near].mean(axis=1, keepdims=True)
    size = np.sum(away**2, axis=(1, 2))[:, None, None]
    turns = np.empty((*moved.shape, 3))
    for number, positions in enumerate(moved):
        there = positions[near] - positions[near].mean(axis=1, keepdims=True)
        moments = np.einsum("jki,jkl->jil", there, away) + (_SMALLEST * size + 1e-12) * np.eye(3)
        left, _, right = np.linalg.svd(moments)
        left[..., 2] *= np.linalg.det(left @ right)[:, None]
        turns[number] = left @ right
    return turns
