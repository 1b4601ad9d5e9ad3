"""Which atoms, or which beads, are bonded to each other."""

import numpy as np
from jaxtyping import Float, Int

from .atoms import Atoms
from .network import neighbours
from .partition import residue_numbers
from .selection import segment_numbers

_TOLERANCE = 0.45  # Å, the Cambridge Structural Database's
_TOLERANCE_HYDROGEN = 0.25  # Å: the two hydrogens of a water or a methyl are 1.5 to 1.8 Å apart
_COINCIDENT = 0.5  # Å
_HYDROGEN_CONTACT = 0.4  # Å: hydrogen bonds are 1.8 Å long


def covalent_bonds(atoms: Atoms) -> Int[np.ndarray, "p 2"]:
    """Pairs `i < j` of atoms no farther apart than their covalent radii and 0.45 Å, sorted; 0.25 Å
    where one is hydrogen, and never two hydrogens. Metals count as bonded to what holds them, and
    so do atoms of molecules that run into each other, unless less than 0.5 Å apart.

    Raises `ValueError` where two atoms of one residue coincide: keep one conformation of each.
    """
    radii = _covalent_radii(atoms.atomic_numbers)
    pairs = neighbours(atoms.positions, 2 * float(radii.max()) + _TOLERANCE)
    first, second = pairs.T
    apart = np.linalg.norm(atoms.positions[first] - atoms.positions[second], axis=1)
    _check_apart(atoms, pairs, apart)
    hydrogens = (atoms.atomic_numbers[pairs] == 1).sum(axis=1)
    tolerance = np.where(hydrogens > 0, _TOLERANCE_HYDROGEN, _TOLERANCE)
    near = (apart >= _COINCIDENT) & (apart <= radii[first] + radii[second] + tolerance)
    return pairs[near & (hydrogens < 2)]


def trace_bonds(atoms: Atoms, longest: float = 4.5) -> Int[np.ndarray, "p 2"]:
    """Neighbours along the chain, for atoms of which each stands for a residue: consecutive rows of
    one segment (see `segment_numbers`), no farther apart than `longest` Å, or the chain is broken.

    The default is for C-alpha (3.8 Å apart, 2.9 Å before a cis proline); phosphorus needs 7.5 Å.
    """
    apart = np.linalg.norm(np.diff(atoms.positions, axis=0), axis=1)
    whole = (np.diff(segment_numbers(atoms)) == 0) & (apart <= longest)
    first = np.flatnonzero(whole).astype(np.int64)
    return np.stack([first, first + 1], axis=1)


def bead_bonds(
    groups: Int[np.ndarray, " j"], bonds: Int[np.ndarray, "p 2"]
) -> Int[np.ndarray, "q 2"]:
    """Pairs of beads `a < b` that at least one of the `bonds` between their atoms joins, sorted;
    `groups` number the bead of each atom. Where the chain is broken, so is that of beads."""
    ends = np.sort(groups[bonds], axis=1)
    return np.unique(ends[ends[:, 0] < ends[:, 1]], axis=0)


def contact_radii(atoms: Atoms) -> Float[np.ndarray, " j"]:
    """Half of how near an atom comes to one of its kind without a clash, Å: van der Waals radii
    that may overlap by 0.4 Å (as in MolProbity: Chen et al. 2010, Acta Cryst. D66). Hydrogens have
    0.4 Å, so that hydrogen bonds are none.
    """
    import gemmi

    distinct, kind = np.unique(atoms.atomic_numbers, return_inverse=True)
    radii = np.array([gemmi.Element(int(number)).vdw_r - 0.2 for number in distinct])
    return np.where(distinct == 1, _HYDROGEN_CONTACT, radii)[kind]


def _covalent_radii(numbers):
    import gemmi

    distinct, kind = np.unique(numbers, return_inverse=True)
    return np.array([gemmi.Element(int(number)).covalent_r for number in distinct])[kind]


def _check_apart(atoms, pairs, apart):
    residue = residue_numbers(atoms)
    coincident = (apart < _COINCIDENT) & (residue[pairs[:, 0]] == residue[pairs[:, 1]])
    if coincident.any():
        row = int(coincident.argmax())
        one, other = (atoms.label(int(atom)) for atom in pairs[row])
        raise ValueError(
            f"{one} and {other} are {apart[row]:.2f} Å apart: keep one conformation of each atom."
        )
