"""Each motion against its formula, written out with scipy and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.spatial.transform import Rotation

from cryojax_het.simulate.motions.base import Conformer
from cryojax_het.simulate.motions.composed import Composed
from cryojax_het.simulate.motions.composition import composition
from cryojax_het.simulate.motions.hinge import Centroid, FixedPoint, hinge
from cryojax_het.simulate.motions.morph import morph
from cryojax_het.simulate.motions.normal_modes import mode_motion
from cryojax_het.simulate.motions.trajectory import trajectory
from cryojax_het.simulate.states import Coordinate
from cryojax_het.structures.atoms import Atoms
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.structures.shift_invert import ShiftInvertLanczos

COUNT = 12
MOVING = np.arange(COUNT) >= 7


@pytest.fixture
def positions():
    return np.random.default_rng(1).normal(size=(COUNT, 3)) * 10


@pytest.fixture
def conformer(positions):
    return Conformer(jnp.asarray(positions), jnp.linspace(0.4, 1.0, COUNT))


@pytest.fixture
def frames(positions):
    steps = np.random.default_rng(2).normal(size=(5, COUNT, 3))
    return positions + np.cumsum(steps, axis=0) - steps[0]


def arm(start=(1, 2), end=(5,), name="arm"):
    rows = lambda numbers: Centroid(jnp.asarray(numbers))
    return hinge(MOVING, (rows(start), rows(end)), Coordinate(name=name, period=2 * np.pi))


def turned(positions, moving, start, end, angle):
    vector = angle * (end - start) / np.linalg.norm(end - start)
    moved = Rotation.from_rotvec(vector).apply(positions - start) + start
    return np.where(moving[:, None], moved, positions)


@pytest.mark.parametrize("t", [0.0, 0.11, 0.25, 0.6, 1.0])
def test_morph_is_linear_interpolation(conformer, frames, t):
    moved = morph(frames)(conformer, jnp.array([t]))
    expected = interp1d(np.linspace(0, 1, 5), frames, axis=0)(t)
    np.testing.assert_allclose(moved.positions, expected, atol=1e-12)
    np.testing.assert_array_equal(moved.occupancies, conformer.occupancies)


def test_morph_ends_where_its_frames_end(conformer, frames):
    beyond = [morph(frames)(conformer, jnp.array([t])).positions for t in (-0.2, 1.3)]
    np.testing.assert_allclose(beyond, frames[[0, 4]], atol=1e-12)
    with pytest.raises(ValueError, match="Got 1"):
        morph(frames[:1])


def test_trajectory_has_its_frames_and_nothing_between(conformer, frames):
    motion = trajectory(frames)
    at = lambda t: motion(conformer, jnp.array([t])).positions
    for t, number in ((0.0, 0), (1.4, 1), (3.0, 3), (3.6, 4), (9.0, 4)):
        np.testing.assert_allclose(at(t), frames[number], atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0, np.pi, 6.0])
def test_hinge_is_rodrigues_rotation(conformer, positions, angle):
    moved = arm()(conformer, jnp.array([angle]))
    start, end = positions[[1, 2]].mean(axis=0), positions[5]
    expected = turned(positions, MOVING, start, end, angle)
    np.testing.assert_allclose(moved.positions, expected, atol=1e-12)


def test_hinge_about_points_in_space(conformer, positions):
    start, end = np.array([1.0, 0, 2]), np.array([1.0, 4, -2])
    points = (FixedPoint(jnp.asarray(start)), FixedPoint(jnp.asarray(end)))
    moved = hinge(MOVING, points, Coordinate(name="arm"))(conformer, jnp.array([0.7]))
    expected = turned(positions, MOVING, start, end, 0.7)
    np.testing.assert_allclose(moved.positions, expected, atol=1e-12)


def test_full_turn_of_a_hinge_is_none(conformer, positions):
    moved = arm()(conformer, jnp.array([2 * np.pi]))
    np.testing.assert_allclose(moved.positions, positions, atol=1e-12)


def test_later_motions_act_on_what_earlier_ones_left(conformer, positions):
    """The second axis goes through atoms that the first hinge moves."""
    both = Composed((arm(), arm(start=(8,), end=(9,), name="hand")))
    assert [c.name for c in both.coordinates] == ["arm", "hand"]
    moved = both(conformer, jnp.array([0.8, -0.5]))
    first = turned(positions, MOVING, positions[[1, 2]].mean(axis=0), positions[5], 0.8)
    expected = turned(first, MOVING, first[8], first[9], -0.5)
    np.testing.assert_allclose(moved.positions, expected, atol=1e-12)


def test_morph_then_hinge_takes_values_in_order(conformer, frames):
    both = Composed((morph(frames), arm()))
    moved = both(conformer, jnp.array([0.5, 1.1]))
    middle = frames[2]
    expected = turned(middle, MOVING, middle[[1, 2]].mean(axis=0), middle[5], 1.1)
    np.testing.assert_allclose(moved.positions, expected, atol=1e-12)


def test_composition_of_nothing_is_rigid(conformer):
    assert Composed(()).coordinates == ()
    assert Composed(())(conformer, jnp.zeros(0)) is conformer


def test_composition_multiplies_occupancies(conformer):
    rows = np.arange(COUNT)
    table = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.5]])
    motion = composition([rows < 3, rows >= 8], table)
    assert motion.coordinates[0].categorical
    full = np.asarray(conformer.occupancies)
    for state, (first, second) in enumerate(table):
        moved = motion(conformer, jnp.array([float(state)]))
        expected = full * np.where(rows < 3, first, np.where(rows >= 8, second, 1.0))
        np.testing.assert_allclose(moved.occupancies, expected, atol=1e-15)
        np.testing.assert_array_equal(moved.positions, conformer.positions)
    with pytest.raises(ValueError, match="2 atoms are in several"):
        composition([rows < 5, (rows >= 3)], table)


def test_normal_modes_add_up_in_rms_units(positions):
    atoms = Atoms(
        positions=positions,
        atomic_numbers=np.full(COUNT, 6),
        b_factors=np.zeros(COUNT),
        occupancies=np.ones(COUNT),
        chains=np.full(COUNT, "A"),
        residues=np.arange(COUNT) // 2,
        residue_names=np.full(COUNT, "ALA"),
        names=np.array(["CA", "CB"] * (COUNT // 2)),
    )
    nodes = np.arange(0, COUNT, 2)
    modes = normal_modes(UniformSprings(60.0).network(positions[nodes]), 2, ShiftInvertLanczos())
    motion = mode_motion(modes, atoms, nodes)
    rest = Conformer(jnp.asarray(positions), jnp.ones(COUNT))
    step = lambda *b: np.asarray(motion(rest, jnp.array(b)).positions) - positions
    for k, b in enumerate(([3.0, 0.0], [0.0, -2.0])):
        moved = step(*b)
        assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(abs(b[k]), rel=1e-12)
        unit = np.repeat(modes.vectors[k], 2, axis=0)
        scale = b[k] * np.sqrt(COUNT / (unit**2).sum())
        np.testing.assert_allclose(moved, scale * unit, atol=1e-12)
    np.testing.assert_allclose(step(3.0, -2.0), step(3.0, 0.0) + step(0.0, -2.0), atol=1e-12)


def test_motions_are_differentiable(conformer, frames):
    both = Composed((morph(frames), arm()))
    at = lambda values: both(conformer, values).positions
    point = jnp.array([0.4, 0.0])
    slope = jax.jacfwd(at)(point)
    backward = jax.jacrev(at)(point)
    np.testing.assert_allclose(slope, backward, atol=1e-12)
    for axis in range(2):
        step = 1e-6 * jnp.eye(2)[axis]
        expected = (at(point + step) - at(point - step)) / 2e-6
        np.testing.assert_allclose(slope[..., axis], expected, atol=1e-6)
