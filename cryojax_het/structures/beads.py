"""Coarse-grained molecules: groups of atoms, each as one Gaussian bead."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .atoms import Atoms
from .partition import residue_numbers

_BACKBONE = {"N", "CA", "C", "O", "OXT", "OT1", "OT2", "P", "OP1", "OP2", "OP3", "O1P", "O2P"}
_BACKBONE |= {"H", "HN", "H1", "H2", "H3", "HT1", "HT2", "HT3", "HA", "HA1", "HA2", "HA3", "HXT"}


class Beads(NamedTuple):
    """b Gaussians of the mass, centre and mean square radius of the atoms that each stands for.

    - `positions` (x, y, z) Å; `weights`: electrons; `widths`: standard deviation along one axis, Å,
      0 for a bead of one atom, to which the blur of the atoms adds in squares.
    """

    positions: Float[np.ndarray, "b 3"]
    weights: Float[np.ndarray, " b"]
    widths: Float[np.ndarray, " b"]


def beads(atoms: Atoms, groups: Int[np.ndarray, " j"]) -> Beads:
    """One bead for each of `groups`, which number the bead of each atom from 0 and leave none out.

    Atoms count by their electrons times their occupancy; groups of no occupancy have none, and
    raise `ValueError`.
    """
    share = atoms.atomic_numbers * atoms.occupancies
    weights = np.bincount(groups, share)
    if weights.min() <= 0:
        raise ValueError(f"Bead {int(weights.argmin())} has atoms of no occupancy alone.")
    mean = lambda values: np.bincount(groups, share * values) / weights
    positions = np.stack([mean(axis) for axis in atoms.positions.T], axis=1)
    square = mean(np.sum((atoms.positions - positions[groups]) ** 2, axis=1))
    return Beads(positions, weights, np.sqrt(square / 3))


def backbone_and_side_groups(atoms: Atoms) -> Int[np.ndarray, " j"]:
    """Two beads to a residue, its backbone and its side chain or base, in the order of residues;
    one where all atoms are of a kind, as of glycine without hydrogens. For one bead to a residue
    the groups are `residue_numbers`.
    """
    keys = 2 * residue_numbers(atoms) + ~is_backbone(atoms)
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def is_backbone(atoms: Atoms) -> Bool[np.ndarray, " j"]:
    """Of a protein's main chain, or of the phosphates and sugars of a nucleic acid (primed)."""
    primed = [str(name).endswith(("'", "*")) for name in atoms.names]
    return np.isin(atoms.names, sorted(_BACKBONE)) | np.array(primed, bool)
