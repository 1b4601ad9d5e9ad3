"""Restraints of trained mixtures: which there are, at rest in the reference, and refused where they
cannot be."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.commands.fit_gaussians import AtomsConfig, DynamightConfig, GaussiansConfig
from cryojax_het.commands.mixture_reference import reference_of
from cryojax_het.commands.trained_restraints import balance_of, restraints_of
from cryojax_het.inference.training.balance import AsGivenBalance, BalancedGradients

from .mixture_world import chain, consensus, density, write_structure


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A structure, and a consensus map of it."""
    folder = tmp_path_factory.mktemp("world")
    atoms = chain()
    path = write_structure(folder / "chain.pdb", atoms)
    return path, consensus(folder / "consensus", density(atoms, 3.0))


def atoms_config(world, tmp_path, **options):
    path, _ = world
    return AtomsConfig(
        particles=tmp_path / "a.star", output=tmp_path, structure=path, in_frame=True, **options
    )


@pytest.mark.parametrize("beads", ["residue", "two", "atoms"])
def test_a_structure_is_at_rest_and_a_shaken_one_is_not(world, tmp_path, beads):
    config = atoms_config(world, tmp_path, beads=beads)
    reference = reference_of(config, world[1])
    held = restraints_of(config, reference)
    assert held is not None
    assert set(held.terms) == {"bonds", "angles", "dihedrals", "clash", "elastic"}
    rest = jnp.asarray(reference.mixture.positions, jnp.float64)
    noise = jax.random.normal(jax.random.key(0), rest.shape)
    for name in ("bonds", "angles", "elastic"):
        # Bonds of single residues are all that this chain has: none between beads of residues.
        assert held.terms[name].energy(rest) < 1e-3
    assert held.energy(rest + noise) > held.energy(rest) + 1


def test_bonds_are_those_of_the_atoms_whatever_the_order_of_widths(world, tmp_path):
    config = atoms_config(world, tmp_path, beads="atoms")
    reference = reference_of(config, world[1])
    held = restraints_of(config, reference)
    assert held is not None
    places = np.asarray(reference.mixture.positions)
    bonds: Any = held.terms["bonds"]
    pairs = np.asarray(bonds.pairs)
    length = np.linalg.norm(places[pairs[:, 0]] - places[pairs[:, 1]], axis=1)
    assert len(pairs) >= 60
    assert length.max() < 2.1


def test_terms_without_weight_are_left_out(world, tmp_path):
    config = atoms_config(world, tmp_path, dihedrals=0.0, clash=0.0)
    held = restraints_of(config, reference_of(config, world[1]))
    assert held is not None
    assert set(held.terms) == {"bonds", "angles", "elastic"}
    none = replace(config, bonds=0.0, angles=0.0, elastic=0.0)
    assert restraints_of(none, reference_of(none, world[1])) is None


def test_pseudo_atoms_have_an_elastic_network(world, tmp_path):
    config = DynamightConfig(particles=tmp_path / "a.star", output=tmp_path, balance=0.9)
    reference = reference_of(config, world[1])
    held = restraints_of(config, reference)
    assert held is not None
    assert set(held.terms) == {"elastic"}
    assert held.energy(jnp.asarray(reference.mixture.positions, jnp.float64)) < 1e-3
    assert balance_of(config) == BalancedGradients(0.9)
    assert balance_of(atoms_config(world, tmp_path)) == AsGivenBalance()


def test_what_needs_a_structure_says_so(tmp_path):
    places = {"particles": tmp_path / "a.star", "output": tmp_path}
    with pytest.raises(ValueError, match="`--volume atoms` needs `--structure`"):
        AtomsConfig(**places, bonds=0.0, angles=0.0, dihedrals=0.0, clash=0.0)
    with pytest.raises(ValueError, match="`--bonds` needs `--structure`"):
        GaussiansConfig(**places, bonds=1.0)
    with pytest.raises(ValueError, match="`--elastic` must not be negative"):
        GaussiansConfig(**places, elastic=-1.0)
