"""Tetrahedra of a lattice: they fill space once, fit together, and are linear within."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.volumes.tetrahedral_mesh import (
    cell_means,
    edge_for,
    lattice_mesh,
    located,
    mesh_of,
)

RNG = np.random.default_rng(0)
POINTS = RNG.normal(0, 12, (2000, 3))
EDGE = 7.0
MESH = lattice_mesh(POINTS, EDGE)


def test_cells_fill_the_cubes():
    cubes = len(np.unique(np.floor(POINTS / EDGE), axis=0))
    assert len(MESH.cells) == 5 * cubes
    np.testing.assert_allclose(np.sum(MESH.volumes), cubes * EDGE**3, rtol=1e-12)
    np.testing.assert_allclose(np.unique(np.round(MESH.volumes / EDGE**3, 9)), [1 / 6, 1 / 3])


def test_faces_are_shared_by_at_most_two_cells():
    """Were a face cut along both diagonals, its halves would be of one cell each, inside too."""
    cells = np.asarray(MESH.cells)
    faces, counts = np.unique(
        np.sort(np.concatenate([cells[:, list(f)] for f in itertools.combinations(range(4), 3)])),
        axis=0,
        return_counts=True,
    )
    assert counts.max() == 2
    # What is of one cell only is on the surface: a square of the lattice, cut in two.
    surface = np.asarray(MESH.vertices)[faces[counts == 1]]
    assert (np.ptp(surface, axis=1) < 1e-9).any(axis=1).all()
    cubes = {tuple(c) for c in np.floor(POINTS / EDGE).astype(int)}
    free = sum(
        tuple(np.add(c, step)) not in cubes
        for c in cubes
        for step in np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    )
    assert len(surface) == 2 * free


def test_points_are_in_their_cells():
    found = located(MESH, POINTS)
    assert found.weights.min() > -1e-9
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    corners = np.asarray(MESH.vertices)[np.asarray(MESH.cells)[found.cell]]
    np.testing.assert_allclose(np.einsum("jc,jca->ja", found.weights, corners), POINTS, atol=1e-9)


def test_stretches_of_an_affine_displacement():
    matrix = np.eye(3) + 0.3 * RNG.normal(size=(3, 3))
    vertices = np.asarray(MESH.vertices)
    change = vertices @ (matrix - np.eye(3)).T + [1.0, -2.0, 0.5]
    stretches = MESH.stretches(jnp.asarray(change))
    np.testing.assert_allclose(stretches, np.broadcast_to(matrix, stretches.shape), atol=1e-12)
    turn = Rotation.random(rng=RNG).as_matrix()
    stretches = MESH.stretches(jnp.asarray(vertices @ (turn - np.eye(3)).T))
    square = np.einsum("cki,ckj->cij", stretches, stretches)
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(3), square.shape), atol=1e-12)


def test_edges_for_a_number_of_cells():
    edge = edge_for(POINTS, 2.0, 1500)
    assert 1000 < len(lattice_mesh(POINTS, edge).cells) <= 1500
    assert edge_for(POINTS, 2.0, 10**6) == pytest.approx(4.0, rel=1e-3)


def test_means_over_cells():
    found = located(MESH, POINTS)
    mean = cell_means(found, POINTS[:, 0], len(MESH.cells))
    cell = found.cell[0]
    assert mean[cell] == pytest.approx(POINTS[found.cell == cell, 0].mean())


def test_what_is_refused():
    with pytest.raises(ValueError, match="positive length"):
        lattice_mesh(POINTS, 0.0)
    with pytest.raises(ValueError, match="outside the mesh"):
        located(MESH, np.array([[500.0, 0, 0]]))
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match="flat"):
        mesh_of(flat, np.array([[0, 1, 2, 4], [0, 1, 2, 3]]))
