"""Modes of a reference: collective ones, of unit displacement, carried to every Gaussian."""

import numpy as np
import pytest

from cryojax_het.commands.mixture_reference import Reference, mixture_of
from cryojax_het.commands.mode_basis import (
    basis_of_map,
    basis_of_structure,
    residue_nodes,
)
from cryojax_het.structures.atoms import Atoms, joined
from cryojax_het.structures.collective_modes import collective_modes
from cryojax_het.structures.network import UniformSprings

from .mixture_world import RESIDUES, chain


def reference(atoms: Atoms, groups) -> Reference:
    count = groups.max() + 1
    centres = np.stack([atoms.positions[groups == k].mean(axis=0) for k in range(count)])
    mixture, order = mixture_of(centres, np.ones(count), np.full(count, 2.0))
    return Reference(mixture=mixture, atoms=atoms, follows=np.argsort(order)[groups])


def test_a_unit_of_amplitude_is_one_angstrom_of_displacement():
    atoms = chain()
    known = reference(atoms, np.repeat(np.arange(RESIDUES), 3))
    found = basis_of_structure(known, 3, 16.0)
    square = np.sum(found.vectors**2, axis=2).mean(axis=1)
    np.testing.assert_allclose(square, 1)
    assert found.eigenvalues[0] == 1
    assert (np.diff(found.eigenvalues) >= 0).all()
    assert (found.collectivity >= 0.15).all()


def test_backbone_and_side_move_as_their_residue():
    atoms = chain()
    one = basis_of_structure(reference(atoms, np.repeat(np.arange(RESIDUES), 3)), 2, 16.0)
    groups = np.stack([2 * np.arange(RESIDUES)] * 2 + [2 * np.arange(RESIDUES) + 1], axis=1)
    two = basis_of_structure(reference(atoms, groups.ravel()), 2, 16.0)
    np.testing.assert_allclose(two.vectors[:, ::2], one.vectors)
    np.testing.assert_allclose(two.vectors[:, 1::2], one.vectors)


def test_a_dangling_tail_gives_no_modes():
    atoms = chain()
    tail = atoms.take(np.arange(15))
    curl = 4 * np.stack([0 * np.arange(5), np.cos(np.arange(5) * 2), np.sin(np.arange(5) * 2)], 1)
    end = atoms.positions[atoms.positions[:, 0].argmax()]
    away = end + np.outer(np.arange(1, 6), [4.0, 1.0, 0.5]) + curl
    offsets = atoms.positions[:3] - atoms.positions[0]
    tail = tail.at((away[:, None] + offsets).reshape(-1, 3))
    longer = joined([atoms, tail])
    positions = longer.positions[residue_nodes(longer)]
    network = UniformSprings(16.0).network(positions)
    _, share, dropped = collective_modes(network, 4)
    assert dropped > 0
    assert (share >= 0.15).all()


def test_more_modes_than_there_are_is_refused():
    network = UniformSprings(16.0).network(chain().positions[::3])
    with pytest.raises(ValueError, match="--modes"):
        collective_modes(network, 3 * RESIDUES - 6)


def test_nodes_are_alpha_carbons_or_the_first_atom():
    atoms = chain()
    assert (atoms.names[residue_nodes(atoms)] == "CA").all()
    names = atoms.names.copy()
    names[1] = "CX"
    other = Atoms(**{**vars(atoms), "names": names})
    assert residue_nodes(other)[0] == 0


def test_every_pseudo_atom_is_a_node():
    atoms = chain().take(np.arange(1, 3 * RESIDUES, 3))
    found = basis_of_map(reference(atoms, np.arange(RESIDUES)), 3, None)
    np.testing.assert_allclose(np.sum(found.vectors**2, axis=2).mean(axis=1), 1)
    assert found.cutoff > 5
