"""Atoms carried by beads: rigidly where these move rigidly, by hand elsewhere."""

import numpy as np
from scipy.spatial.transform import Rotation

from cryojax_het.structures.riding import local_turns, riding


def world(seed=0, beads=12, atoms=60):
    rng = np.random.default_rng(seed)
    rest = 5 * rng.standard_normal((beads, 3))
    follows = rng.integers(0, beads, atoms)
    return rng, rest, follows, rest[follows] + rng.standard_normal((atoms, 3))


def test_a_rigid_motion_of_the_beads_is_that_of_the_atoms():
    rng, rest, follows, atoms = world()
    turns = Rotation.random(3, random_state=1).as_matrix()
    shifts = rng.standard_normal((3, 1, 3))
    moved = rest @ turns.transpose(0, 2, 1) + shifts
    expected = atoms @ turns.transpose(0, 2, 1) + shifts
    np.testing.assert_allclose(riding(atoms, follows, rest, moved), expected, atol=1e-4)
    assert local_turns(rest, moved, 6).shape == (3, 12, 3, 3)


def test_two_bodies_turn_each_on_its_own():
    _, one, follows, atoms = world(2)
    rest = np.concatenate([one, one + 100])
    turn = Rotation.from_rotvec([0, 0, 1.2]).as_matrix()
    moved = np.concatenate([one @ turn.T, one + 100])[None]
    both = np.concatenate([atoms, atoms + 100])
    found = riding(both, np.concatenate([follows, follows + 12]), rest, moved)[0]
    np.testing.assert_allclose(found[:60], atoms @ turn.T, atol=1e-4)
    np.testing.assert_allclose(found[60:], atoms + 100, atol=1e-9)


def test_what_neighbours_leave_open_is_not_turned():
    rest = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])  # in line: no turn about the line is seen
    atoms, follows = rest + np.array([0.0, 1, 0]), np.arange(3)
    np.testing.assert_allclose(riding(atoms, follows, rest, rest[None])[0], atoms, atol=1e-6)
    up = rest[:, [1, 0, 2]][None]  # the line turned from x to y
    np.testing.assert_allclose(riding(atoms, follows, rest, up)[0], up[0] + [-1, 0, 0], atol=1e-4)
    alone = riding(atoms[:1], follows[:1], rest[:1], rest[None, :1] + 3)
    np.testing.assert_allclose(alone[0], atoms[:1] + 3, atol=1e-9)


def test_atoms_that_are_their_beads():
    _, rest, _, _ = world(3)
    moved = rest[None] * 1.1
    np.testing.assert_array_equal(riding(rest, np.arange(12), rest, moved), moved)
