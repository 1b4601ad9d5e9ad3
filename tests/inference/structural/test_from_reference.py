"""Restraints of a real molecule, of the three kinds there are."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.structural.from_reference import Tolerances, restraints_at
from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.beads import backbone_and_side_groups, beads
from cryojax_het.structures.connectivity import connectivity
from cryojax_het.structures.covalent import (
    bead_bonds,
    contact_radii,
    covalent_bonds,
    trace_bonds,
)
from cryojax_het.structures.superpose import superposed


def c_alpha(atoms):
    trace = atoms.take(atoms.names == "CA")
    return trace.positions, trace_bonds(trace), np.full(len(trace), 2.0), Tolerances()


def two_beads(atoms):
    groups = backbone_and_side_groups(atoms)
    places = beads(atoms, groups).positions
    radii = np.full(len(places), 1.5)
    return places, bead_bonds(groups, covalent_bonds(atoms)), radii, Tolerances()


def all_atoms(atoms):
    tolerances = Tolerances(bond=0.05, cutoff=6.0)
    return atoms.positions, covalent_bonds(atoms), contact_radii(atoms), tolerances


def protein(data, name):
    atoms = read_atoms(data / "adk" / f"{name}.pdb")
    return atoms.take((atoms.chains == "A") & (atoms.residues <= 214))


@pytest.fixture(scope="module")
def energies():
    return eqx.filter_jit(lambda restraints, x: restraints.energies(x))


@pytest.fixture(scope="module", params=[c_alpha, two_beads, all_atoms])
def molecule(request, data):
    """Restraints at rest in the closed crystal structure, and places of closed and open."""
    closed, bonds, radii, tolerances = request.param(protein(data, "1ake"))
    opened = request.param(protein(data, "4ake"))[0]
    bonded = connectivity(bonds)
    restraints = restraints_at(closed, bonded, radii, tolerances)
    return restraints, closed, superposed(opened[None], closed)[0]


def test_the_reference_is_almost_at_rest_and_its_clashes_few(molecule, energies):
    restraints, closed, _ = molecule
    found = energies(restraints, jnp.asarray(closed))
    for name in ("bonds", "angles", "dihedrals", "elastic"):
        assert found[name] < 1e-6
    assert found["clash"] < 0.1 * len(closed)


def test_another_real_conformation_is_far_better_than_shaken_atoms(molecule, energies):
    """Atoms shaken by 1 Å are nearer to the reference than the open structure, and worse."""
    restraints, closed, opened = molecule
    shaken = closed + np.random.default_rng(0).normal(size=closed.shape)
    adapted = restraints.adapted(np.stack([closed, opened, shaken]))
    real, broken = (energies(adapted, jnp.asarray(x)) for x in (opened, shaken))
    assert np.sum((opened - closed) ** 2) > 5 * np.sum((shaken - closed) ** 2)
    for name in ("bonds", "angles", "dihedrals", "clash"):
        assert 4 * real[name] < broken[name], name


def test_release_lets_the_hinge_open(molecule, energies):
    restraints, closed, opened = molecule
    network = restraints.terms["elastic"]
    way = closed + np.linspace(0, 1, 4)[:, None, None] * (opened - closed)
    released = network.adapted(way)
    assert (released.kept == 0).sum() == round(0.01 * len(network.pairs))
    positions = jnp.asarray(opened)
    energy = eqx.filter_jit(lambda network, x: network.energy(x))
    assert energy(released, positions) < 0.95 * energy(network, positions)
