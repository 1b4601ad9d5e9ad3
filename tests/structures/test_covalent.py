from dataclasses import replace

import numpy as np
import pytest

from cryojax_het.structures.atoms import Atoms, read_atoms
from cryojax_het.structures.beads import backbone_and_side_groups
from cryojax_het.structures.covalent import (
    bead_bonds,
    contact_radii,
    covalent_bonds,
    trace_bonds,
)
from cryojax_het.structures.trajectory import read_trajectory


def made(positions, numbers, chains=None, residues=None, names=None):
    count = len(positions)
    return Atoms(
        positions=np.asarray(positions, float),
        atomic_numbers=np.asarray(numbers),
        b_factors=np.zeros(count),
        occupancies=np.ones(count),
        chains=np.array(chains or ["A"] * count),
        residues=np.asarray(residues if residues is not None else np.arange(1, count + 1)),
        residue_names=np.array(["ALA"] * count),
        names=np.array(names or ["CA"] * count),
    )


@pytest.fixture(scope="module")
def adk(data):
    whole = read_atoms(data / "adk" / "1ake.pdb")
    return whole.take(whole.chains == "A")


def test_a_water_has_two_bonds():
    water = made([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], [8, 1, 1])
    assert covalent_bonds(water).tolist() == [[0, 1], [0, 2]]


def test_bonds_are_those_of_the_force_field(data):
    """CHARMM's list for adenylate kinase, hydrogens included, against distances."""
    mdtraj = pytest.importorskip("mdtraj")
    topology = mdtraj.load_psf(str(data / "adk" / "adk.psf"))
    expected = np.array([sorted((a.index, b.index)) for a, b in topology.bonds])
    expected = np.unique(expected, axis=0)
    frames = read_trajectory(data / "adk" / "adk_dims.dcd", data / "adk" / "adk.psf")
    np.testing.assert_array_equal(covalent_bonds(frames.atoms), expected)


def test_backbone_of_a_crystal_structure(adk):
    pairs = covalent_bonds(adk)
    names = np.sort(adk.names[pairs], axis=1)
    residues = adk.residues[pairs]
    peptide = (names == ["C", "N"]).all(axis=1) & (np.diff(residues, axis=1)[:, 0] == 1)
    assert peptide.sum() == 213
    within = residues[:, 0] == residues[:, 1]
    assert (~within).sum() == 213  # no crosslink in this protein
    for one, other in (("CA", "N"), ("C", "CA"), ("C", "O")):
        assert ((names == [one, other]).all(axis=1) & within).sum() == 214


def test_brute_force(adk):
    some = adk.take(np.arange(200))
    radius = {6: 0.73, 7: 0.71, 8: 0.66, 16: 1.05}
    radii = np.array([radius[n] for n in some.atomic_numbers])
    apart = np.linalg.norm(some.positions[:, None] - some.positions, axis=-1)
    expected = np.argwhere(np.triu(apart <= radii[:, None] + radii + 0.45, 1))
    np.testing.assert_array_equal(covalent_bonds(some), expected)


def test_atoms_in_one_place_are_refused():
    with pytest.raises(ValueError, match=r"residue 1, chain A and .*one conformation"):
        covalent_bonds(made([[0, 0, 0], [0.1, 0, 0]], [6, 6], residues=[1, 1]))


def test_molecules_that_overlap_are_not_bonded_there():
    assert not len(covalent_bonds(made([[0, 0, 0], [0.1, 0, 0]], [6, 6], chains=["A", "B"])))


def test_a_trace_ends_where_the_chain_does():
    along = 3.8 * np.array([0, 1, 2, 4, 5, 6, 7.0])
    positions = along[:, None] * np.array([1.0, 0, 0])
    chains = list("AAAAABB")
    residues = [10, 11, 12, 13, 14, 15, 3]  # a gap, another chain, a number that falls
    found = trace_bonds(made(positions, [6] * 7, chains, residues))
    assert found.tolist() == [[0, 1], [1, 2], [3, 4]]
    # Numbers that jump break nothing where atoms are near, as in antibodies.
    jump = trace_bonds(made(positions[:3], [6] * 3, residues=[1, 1, 9]))
    assert jump.tolist() == [[0, 1], [1, 2]]


def test_one_bead_per_residue_is_bonded_as_the_trace(adk):
    protein = adk.take(adk.residues <= 214)
    groups = np.unique(protein.residues, return_inverse=True)[1]
    chain = np.stack([np.arange(213), np.arange(1, 214)], axis=1)
    np.testing.assert_array_equal(bead_bonds(groups, covalent_bonds(protein)), chain)
    trace = protein.take(protein.names == "CA")
    np.testing.assert_array_equal(trace_bonds(trace), chain)
    cut = protein.take((protein.residues < 50) | (protein.residues > 55))
    groups = np.unique(cut.residues, return_inverse=True)[1]
    found = bead_bonds(groups, covalent_bonds(cut))
    np.testing.assert_array_equal(found, np.delete(chain[:207], 48, axis=0))
    np.testing.assert_array_equal(trace_bonds(cut.take(cut.names == "CA")), found)


def test_two_beads_per_residue(adk):
    protein = adk.take(adk.residues <= 214)
    groups = backbone_and_side_groups(protein)
    found = bead_bonds(groups, covalent_bonds(protein))
    glycines = np.sum((protein.residue_names == "GLY") & (protein.names == "CA"))
    assert len(found) == 213 + 214 - glycines
    assert np.bincount(found.ravel()).max() == 3


def test_contacts_of_a_good_structure_are_farther_than_the_radii(adk):
    radii = contact_radii(adk)
    kinds = {6: 1.5, 7: 1.35, 8: 1.32}
    for number, radius in kinds.items():
        np.testing.assert_allclose(radii[adk.atomic_numbers == number], radius, atol=1e-6)
    hydrogen = replace(adk, atomic_numbers=np.ones_like(adk.atomic_numbers))
    assert (contact_radii(hydrogen) == 0.4).all()
