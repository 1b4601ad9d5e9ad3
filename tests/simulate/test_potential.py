import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.simulate.potential import atomic_potential
from cryojax_het.structures.atoms import Atoms
from cryojax_het.structures.scattering import electron_factors
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.kernel import cubic, quadratic
from cryojax_het.volumes.voxels import Voxels

NONE = jnp.zeros(0)


def make_atoms(count=90):
    rng = np.random.default_rng(3)
    return Atoms(
        positions=rng.normal(size=(count, 3)) * 9,
        atomic_numbers=rng.choice([6, 7, 8, 16], count),
        b_factors=rng.uniform(5, 120, count),
        occupancies=rng.uniform(0.3, 1, count),
        chains=np.full(count, "A"),
        residues=np.arange(count),
        residue_names=np.full(count, "ALA"),
        names=np.full(count, "CA"),
    )


@pytest.fixture
def grid():
    return FourierGrid(24, 2.6)


@pytest.fixture
def turn():
    return rotation.random(jax.random.key(5))


def brute_force(atoms, turn, k):
    """Σ_j o_j f_j(k) exp(-B_j k²/4) exp(-2πi k·R r_j), `k` [..., 2], one atom at a time."""
    total = np.zeros(k.shape[:-1], complex)
    k2 = (k**2).sum(-1)
    factors = electron_factors(atoms.atomic_numbers)
    for j in range(len(atoms)):
        x, y, _ = np.asarray(turn) @ atoms.positions[j]
        f = sum(a * np.exp(-b * k2 / 4) for a, b in zip(factors.a[j], factors.b[j], strict=True))
        wave = np.exp(-2j * np.pi * (k[..., 0] * x + k[..., 1] * y) - atoms.b_factors[j] * k2 / 4)
        total += atoms.occupancies[j] * f * wave
    return total


def frequencies(grid):
    step = 1 / (grid.size * float(grid.pixel_size))
    ky = np.fft.fftfreq(grid.size, 1 / grid.size) * step
    kx = np.arange(grid.size // 2 + 1) * step
    return np.stack(np.broadcast_arrays(kx, ky[:, None]), axis=-1)


def test_slice_is_the_sum_over_atoms(grid, turn):
    atoms = make_atoms()
    ours = np.asarray(atomic_potential(atoms).slice(NONE, turn, grid))
    k = frequencies(grid)
    inside = np.hypot(k[..., 0], k[..., 1]) < 0.5 / float(grid.pixel_size) * (1 - 1e-9)
    expected = brute_force(atoms, turn, k) * inside
    np.testing.assert_allclose(ours, expected, atol=1e-10 * np.abs(expected).max())


def test_slice_equals_that_of_five_gaussians_per_atom(grid, turn):
    atoms = make_atoms()
    ours = atomic_potential(atoms).slice(NONE, turn, grid)
    theirs = five_gaussians(atoms).slice(NONE, turn, grid)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def five_gaussians(atoms):
    """The molecule as `Gaussians`: one for each term of each atom's form factor."""
    a, b = electron_factors(atoms.atomic_numbers)
    variances = (b + atoms.b_factors[:, None]) / (8 * np.pi**2)
    return Gaussians(
        jnp.asarray(np.repeat(atoms.positions, 5, axis=0)),
        jnp.asarray((a * atoms.occupancies[:, None]).ravel()),
        jnp.asarray(np.sqrt(variances).ravel()),
    )


def test_density_equals_that_of_five_gaussians_per_atom():
    """Once blurred enough that sampling folds nothing back."""
    atoms, grid = make_atoms(20).with_b_factor(900.0), FourierGrid(48, 1.8)
    ours = np.asarray(atomic_potential(atoms).density(NONE, grid))
    theirs = np.asarray(five_gaussians(atoms).density(NONE, grid))
    assert np.linalg.norm(ours - theirs) < 1e-4 * np.linalg.norm(theirs)


def relative_error(found, true, grid, highest=1.0):
    """Over frequencies below `highest` times Nyquist."""
    part = np.sqrt(np.asarray(grid.k_squared())) * 2 * grid.pixel_size < highest
    power = lambda x: np.sum(np.asarray(grid.weights()) * part * np.abs(np.asarray(x)) ** 2)
    return float(np.sqrt(power(found - true) / power(true)))


@pytest.mark.parametrize(("kernel", "tolerance"), [(quadratic(), 8e-3), (cubic(), 4e-4)])
def test_slices_of_voxels_follow_the_exact_ones(turn, kernel, tolerance):
    """Blurred atoms, through voxels of their density: within the accuracy of each kernel."""
    atoms, grid = make_atoms().with_b_factor(900.0), FourierGrid(32, 2.6)
    exact = atomic_potential(atoms)
    voxels = Voxels(exact.density(NONE, grid), grid.pixel_size, kernel)
    found = voxels.slice(NONE, turn, grid)
    assert relative_error(found, exact.slice(NONE, turn, grid), grid) < tolerance


def test_voxels_of_sharp_atoms_fail_at_the_edge_of_the_band(turn):
    """Why atoms are never simulated through voxels: cut at Nyquist, a sharp atom rings through the
    whole box, and off the grid its transform is no longer known."""
    atoms, grid = make_atoms().with_b_factor(100.0), FourierGrid(48, 2.6)
    exact = atomic_potential(atoms)
    found = Voxels(exact.density(NONE, grid), grid.pixel_size, cubic()).slice(NONE, turn, grid)
    true = exact.slice(NONE, turn, grid)
    assert relative_error(found, true, grid, 0.25) < 4e-3
    assert relative_error(found, true, grid) > 1e-2


def test_single_precision_at_a_large_box(turn):
    atoms = make_atoms()
    single = jax.tree.map(lambda x: x.astype(jnp.float32), atomic_potential(atoms))
    grid32 = FourierGrid(128, jnp.float32(0.9))
    ours = single.slice(jnp.zeros(0, jnp.float32), turn.astype(jnp.float32), grid32)
    assert ours.dtype == jnp.complex64
    exact = atomic_potential(atoms).slice(NONE, turn, FourierGrid(128, float(jnp.float32(0.9))))
    error = np.linalg.norm(ours - exact) / np.linalg.norm(exact)
    assert error < 3e-6


def test_prepare_is_the_identity(grid, turn):
    volume = atomic_potential(make_atoms())
    np.testing.assert_array_equal(
        volume.slice(NONE, turn, grid), volume.prepare(grid).slice(NONE, turn, grid)
    )


def test_density_has_the_slices_of_the_potential(grid):
    volume = atomic_potential(make_atoms())
    density = np.asarray(volume.density(NONE, grid))
    # Seen along z, and along y after a quarter turn about x, as plain sums of voxels.
    for turn, axis in ((np.eye(3), 0), (np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), 1)):
        image = grid.to_image(volume.slice(NONE, jnp.asarray(turn), grid))
        projected = density.sum(axis=axis) * float(grid.pixel_size)
        np.testing.assert_allclose(image, projected, atol=1e-9)


def test_density_of_one_blurred_atom_is_its_closed_form():
    atoms = make_atoms(1).with_b_factor(900.0)
    grid = FourierGrid(32, 2.0)
    atoms.positions[:] = [4.0, -6.0, 9.0]
    density = np.asarray(atomic_potential(atoms).density(NONE, grid))
    a, b = electron_factors(atoms.atomic_numbers)
    r = (np.arange(32) - 16) * 2.0
    z, y, x = np.meshgrid(r, r, r, indexing="ij")
    r2 = (x - 4) ** 2 + (y + 6) ** 2 + (z - 9) ** 2
    width = (b[0] + 900) / (8 * np.pi**2)
    expected = sum(
        m * np.exp(-r2 / 2 / v) / (2 * np.pi * v) ** 1.5 for m, v in zip(a[0], width, strict=True)
    )
    np.testing.assert_allclose(density, atoms.occupancies[0] * expected, atol=2e-5 * expected.max())


def test_gradient_in_positions_is_finite_and_matches_differences(grid, turn):
    volume = atomic_potential(make_atoms(70))

    def power(step):
        moved = jax.tree.map(lambda x: x, volume)
        groups = [
            type(g)(g.positions + step, g.b_factors, g.occupancies, g.a, g.b) for g in moved.groups
        ]
        view = type(volume)((groups[0], *volume.groups[1:])).slice(NONE, turn, grid)
        return jnp.sum(jnp.abs(view) ** 2)

    slope = jax.grad(power)(0.0)
    expected = (power(1e-5) - power(-1e-5)) / 2e-5
    assert slope == pytest.approx(float(expected), rel=1e-6)
