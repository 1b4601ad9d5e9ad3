"""Groups of neighbouring nodes."""

import numpy as np
from jaxtyping import Float, Int

from .atoms import Atoms
from .selection import segment_numbers


def bisected(positions: Float[np.ndarray, "n 3"], size: int) -> Int[np.ndarray, " n"]:
    """Number of the compact group of each point, from 0: halved across the longest side until no
    group has more than `size` points; groups then differ by at most one."""
    groups = [np.arange(len(positions))]
    while max(map(len, groups)) > size:
        groups = [half for group in groups for half in _halves(positions, group)]
    labels = np.empty(len(positions), np.int64)
    for number, group in enumerate(groups):
        labels[group] = number
    return labels


def residue_blocks(atoms: Atoms, residues: int = 1) -> Int[np.ndarray, " j"]:
    """Number of the block of each atom, from 0: runs of `residues` consecutive residues of one
    segment (see `segment_numbers`)."""
    segments = segment_numbers(atoms)
    number = residue_numbers(atoms)
    first = np.full(segments[-1] + 1, len(atoms), np.int64)
    np.minimum.at(first, segments, number)
    within = (number - first[segments]) // residues
    return np.unique(np.stack([segments, within]), axis=1, return_inverse=True)[1].astype(np.int64)


def residue_numbers(atoms: Atoms) -> Int[np.ndarray, " j"]:
    """Number of the residue of each atom, from 0, in the order of the file."""
    segments = segment_numbers(atoms)
    starts = (np.diff(segments) != 0) | (np.diff(atoms.residues) != 0)
    return np.concatenate([[0], np.cumsum(starts)]).astype(np.int64)


def _halves(positions, group):
    longest = np.ptp(positions[group], axis=0).argmax()
    ordered = group[np.argsort(positions[group, longest], kind="stable")]
    return ordered[: len(group) // 2], ordered[len(group) // 2 :]
