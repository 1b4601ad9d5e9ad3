from dataclasses import replace

import numpy as np
import pytest

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.beads import backbone_and_side_groups, beads, is_backbone
from cryojax_het.structures.partition import residue_numbers


@pytest.fixture
def atoms(data):
    return read_atoms(data / "adk" / "1ake.pdb").take(np.arange(1500))


def tensor(positions, weights, widths):
    """Mass, first moment and trace of the second of Gaussians."""
    second = np.sum(weights * (np.sum(positions**2, axis=1) + 3 * widths**2))
    return weights.sum(), weights @ positions, second


@pytest.mark.parametrize("groups", [residue_numbers, backbone_and_side_groups])
def test_beads_keep_the_moments_of_the_atoms(atoms, groups):
    found = beads(atoms, groups(atoms))
    mass = atoms.atomic_numbers * atoms.occupancies
    expected = tensor(atoms.positions, mass, np.zeros(len(atoms)))
    for ours, theirs in zip(tensor(*found), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_one_bead_is_the_centroid_of_its_residue(atoms):
    found = beads(atoms, residue_numbers(atoms))
    mine = (atoms.residues == 40) & (atoms.names != "")
    mass = atoms.atomic_numbers[mine].astype(float)
    centre = np.average(atoms.positions[mine], axis=0, weights=mass)
    row = np.argmin(np.linalg.norm(found.positions - centre, axis=1))
    np.testing.assert_allclose(found.positions[row], centre, atol=1e-12)
    assert found.weights[row] == mass.sum()
    assert 0.5 < found.widths[row] < 3


def test_two_beads_are_backbone_and_side_chain(atoms):
    groups = backbone_and_side_groups(atoms)
    residue = residue_numbers(atoms)
    for number in range(residue[-1] + 1):
        mine = residue == number
        side = mine & ~np.isin(atoms.names, ["N", "CA", "C", "O", "OXT"])
        assert len(np.unique(groups[mine])) == (2 if side.any() else 1)
        assert len(np.unique(groups[side])) <= 1
        assert (atoms.residue_names[mine][0] == "GLY") == (not side.any())
    assert np.unique(groups).tolist() == list(range(groups.max() + 1))


def test_nucleotides_split_into_backbone_and_base(data):
    atoms = read_atoms(data / "ribosome" / "powerfit_ribosome.pdb.gz")
    whole = np.flatnonzero((atoms.residues == 100) & (atoms.residue_names == "G"))
    base = set(atoms.names[whole][~is_backbone(atoms.take(whole))].tolist())
    assert base == {"N9", "C8", "N7", "C5", "C6", "O6", "N1", "C2", "N2", "N3", "C4"}


def test_atoms_of_no_occupancy_have_no_bead(atoms):
    empty = replace(atoms, occupancies=np.where(atoms.residues == 5, 0.0, 1.0))
    with pytest.raises(ValueError, match="no occupancy"):
        beads(empty, residue_numbers(empty))
