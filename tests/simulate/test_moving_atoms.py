"""A molecule that moves against sums over its atoms, with all factors written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging import rotation
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.simulate.motions.composed import Composed
from cryojax_het.simulate.motions.composition import composition
from cryojax_het.simulate.motions.hinge import FixedPoint, hinge
from cryojax_het.simulate.moving_atoms import example, moving_atoms
from cryojax_het.simulate.potential import atomic_potential
from cryojax_het.simulate.states import Coordinate
from cryojax_het.structures.atoms import Atoms

# Peng et al. 1996, table 1: neutral carbon and oxygen.
TABLE = {
    6: (
        [0.0893, 0.2563, 0.7570, 1.0487, 0.3575],
        [0.2465, 1.7100, 6.4094, 18.6113, 50.2523],
    ),
    8: (
        [0.0974, 0.2921, 0.6910, 0.6990, 0.2039],
        [0.2067, 1.3815, 4.6943, 12.7105, 32.4726],
    ),
}
COUNT = 70
ROWS = np.arange(COUNT)
PIVOT, TIP = np.array([3.0, -1.0, 2.0]), np.array([3.0, 8.0, -4.0])
LATENT = jnp.array([0.9, 1.0])


def make_atoms():
    rng = np.random.default_rng(3)
    return Atoms(
        positions=rng.normal(size=(COUNT, 3)) * 7,
        atomic_numbers=np.where(rng.uniform(size=COUNT) < 0.6, 6, 8),
        b_factors=rng.uniform(20, 120, COUNT),
        occupancies=rng.uniform(0.3, 1, COUNT),
        chains=np.full(COUNT, "A"),
        residues=ROWS,
        residue_names=np.full(COUNT, "ALA"),
        names=np.full(COUNT, "CA"),
    )


def make_motion():
    axis = tuple(FixedPoint(jnp.asarray(point)) for point in (PIVOT, TIP))
    swing = hinge(ROWS >= 40, axis, Coordinate(name="swing"))
    return Composed((swing, composition([ROWS < 10], np.array([[1.0], [0.25]]))))


def brute_force(atoms, turn, k):
    """The second state of the assembly with the arm at 0.9 rad, one atom at a time."""
    vector = 0.9 * (TIP - PIVOT) / np.linalg.norm(TIP - PIVOT)
    swung = Rotation.from_rotvec(vector).apply(atoms.positions - PIVOT) + PIVOT
    total, k2 = np.zeros(k.shape[:-1], complex), (k**2).sum(-1)
    for j in range(COUNT):
        x, y, _ = turn @ (swung[j] if j >= 40 else atoms.positions[j])
        share = atoms.occupancies[j] * (0.25 if j < 10 else 1.0)
        a, b = TABLE[int(atoms.atomic_numbers[j])]
        factor = sum(p * np.exp(-q * k2 / 4) for p, q in zip(a, b, strict=True))
        wave = np.exp(-2j * np.pi * (k[..., 0] * x + k[..., 1] * y))
        total += share * factor * np.exp(-atoms.b_factors[j] * k2 / 4) * wave
    return total


@pytest.fixture
def grid():
    return FourierGrid(24, 2.6)


@pytest.fixture
def volume():
    return moving_atoms(make_atoms(), make_motion())


def test_slice_is_the_sum_over_moved_atoms(volume, grid):
    turn = rotation.random(jax.random.key(5))
    step = 1 / (24 * 2.6)
    k = np.stack(
        np.broadcast_arrays(np.arange(13) * step, np.fft.fftfreq(24, 1 / 24)[:, None] * step), -1
    )
    inside = np.hypot(k[..., 0], k[..., 1]) < 0.5 / 2.6 * (1 - 1e-9)
    expected = brute_force(make_atoms(), np.asarray(turn), k) * inside
    for ready in (volume, volume.prepare(grid), volume.prepare(grid).prepare(grid)):
        ours = np.asarray(ready.slice(LATENT, turn, grid))
        # The table has four decimals.
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_reference_state_is_the_rigid_molecule(volume, grid):
    turn = rotation.random(jax.random.key(6))
    ours = volume.slice(jnp.zeros(2), turn, grid)
    rigid = atomic_potential(make_atoms()).slice(jnp.zeros(0), turn, grid)
    np.testing.assert_allclose(ours, rigid, atol=1e-10)


def test_density_of_a_state_has_its_slices(volume, grid):
    density = np.asarray(volume.density(LATENT, grid))
    for turn, axis in ((np.eye(3), 0), (np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), 1)):
        image = grid.to_image(volume.slice(LATENT, jnp.asarray(turn), grid))
        np.testing.assert_allclose(image, density.sum(axis=axis) * 2.6, atol=1e-9)


def test_conformer_keeps_the_order_of_the_structure(volume):
    atoms = make_atoms()
    moved = volume.conformer(LATENT)
    np.testing.assert_allclose(moved.positions[:40], atoms.positions[:40], atol=1e-12)
    np.testing.assert_allclose(moved.occupancies[10:], atoms.occupancies[10:])
    np.testing.assert_allclose(moved.occupancies[:10], 0.25 * atoms.occupancies[:10])
    assert volume.prepare(FourierGrid(16, 3.0)).conformer(LATENT).positions.shape == (COUNT, 3)


def test_gradient_in_the_latent_matches_differences(volume, grid):
    turn = rotation.random(jax.random.key(7))
    target = volume.slice(jnp.array([0.2, 1.0]), turn, grid)

    def loss(angle):
        view = volume.prepare(grid).slice(jnp.stack([angle, jnp.ones(())]), turn, grid)
        return jnp.sum(jnp.abs(view - target) ** 2)

    slope = jax.grad(loss)(jnp.asarray(0.7))
    expected = (loss(jnp.asarray(0.7 + 1e-5)) - loss(jnp.asarray(0.7 - 1e-5))) / 2e-5
    assert float(slope) == pytest.approx(float(expected), rel=1e-6)


def test_single_precision_stays(volume):
    as_single = lambda tree: jax.tree.map(
        lambda x: x.astype(jnp.float32) if x.dtype == jnp.float64 else x, tree
    )
    grid32 = FourierGrid(64, jnp.float32(1.3))
    turn = rotation.random(jax.random.key(8))
    ours = as_single(volume).slice(LATENT.astype(jnp.float32), turn.astype(jnp.float32), grid32)
    assert ours.dtype == jnp.complex64
    exact = volume.slice(LATENT, turn, FourierGrid(64, float(jnp.float32(1.3))))
    assert np.linalg.norm(ours - exact) < 3e-6 * np.linalg.norm(exact)


def test_example_moves():
    grid = FourierGrid(20, 1.4)
    volume = example(jax.random.key(0), grid)
    still, moved = (volume.slice(jnp.array([t]), jnp.eye(3), grid) for t in (0.0, 0.4))
    assert jnp.linalg.norm(moved - still) > 0.02 * jnp.linalg.norm(still)
