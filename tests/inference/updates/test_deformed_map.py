"""Sums over deformed images against dense matrices of exact Fourier sums, in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.updates.conjugate_gradients import Stopping, conjugate_gradients
from cryojax_het.inference.updates.deformed_map import DeformedMap, regulariser
from cryojax_het.volumes.displacement import AbstractDisplacement
from cryojax_het.volumes.kernel import Kernel
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.splat import Splat
from cryojax_het.volumes.voxel_cloud import voxels_within

SIZE, PIXEL, IMAGES = 16, 3.0, 24
GRID = FourierGrid(SIZE, PIXEL)
NOISE = ColouredNoise(jnp.linspace(2.0, 1.0, 2 * (SIZE // 2 + 1)).reshape(2, -1))
FINE = Splat(Kernel(7, 1.68, 9, 1e-3))  # within 1e-5


class Bend(AbstractDisplacement):
    """A quadratic bend along z by the first latent, and a fading along x by the second."""

    latent_size: int = eqx.field(static=True, default=2)

    def change(self, latent, positions):
        x, y, _ = positions.T
        along = latent[0] * (x**2 + 0.3 * x * y) / 20
        return Change(jnp.stack([0.3 * along, 0 * x, along], axis=1), latent[1] * x / 30)


class Still(AbstractDisplacement):
    """Nothing moves."""

    latent_size: int = eqx.field(static=True, default=2)

    def change(self, latent, positions):
        del latent
        return Change(jnp.zeros_like(positions))


class Widening(Still):
    """A change that voxels cannot follow."""

    def change(self, latent, positions):
        return Change(jnp.zeros_like(positions), None, latent[0] * positions[:, 0])


def ball():
    axis = np.arange(SIZE) - SIZE // 2
    squared = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return np.where(squared <= 3.2**2, 1.0, 0.0)


FLAT, POSITIONS = voxels_within(ball(), PIXEL)


def model(displacement, splat=FINE, **options):
    spacing = jnp.asarray(PIXEL)
    places = (jnp.asarray(FLAT), jnp.asarray(POSITIONS))
    return DeformedMap(*places, spacing, displacement, SIZE, splat, **options)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    spread = lambda low, high: jnp.asarray(rng.uniform(low, high, IMAGES))
    full = lambda value: jnp.full(IMAGES, value)
    optics = Optics(
        defocus_u=spread(6e3, 2e4),
        defocus_v=spread(6e3, 2e4),
        astigmatism_angle=full(0.4),
        wavelength=full(0.0197),
        spherical_aberration=full(2.7e7),
        amplitude_contrast=full(0.1),
        phase_shift=full(0.3),
        b_factor=full(20.0),
        scale=full(1.0),
        group=jnp.arange(IMAGES) % 2,
        beam_tilt=jnp.asarray(rng.normal(0, 1e-3, (IMAGES, 2))),
    )
    latents = Latents(
        jnp.asarray(rng.normal(size=(IMAGES, 2))),
        jnp.asarray(Rotation.random(IMAGES, rng=rng).as_matrix()),
        jnp.asarray(rng.normal(0, 2, (IMAGES, 2))),
        spread(0.8, 1.2),
    )
    images = jnp.asarray(np.fft.rfft2(rng.normal(size=(IMAGES, SIZE, SIZE))))
    weight = full(1.0).at[-1].set(0.0)
    return Batch(images, optics, latents, jnp.arange(IMAGES), weight)


def dense(batch, displacement):
    """`A` by explicit Fourier sums over voxels, whitened: `[image · (re, im) · frequency, voxel]`,
    and the whitened images."""
    rows, right = [], []
    for i in range(IMAGES):
        optics, latents = jax.tree.map(lambda x, i=i: x[i], (batch.optics, batch.latents))
        change = displacement.change(latents.conformation, jnp.asarray(POSITIONS))
        k = np.asarray(GRID.plane(latents.rotation)).reshape(-1, 3)
        wave = np.exp(-2j * np.pi * k @ np.asarray(POSITIONS + change.displacement).T)
        mass = PIXEL**3 * np.exp(0 if change.amplitude is None else np.asarray(change.amplitude))
        kx, ky = np.broadcast_arrays(GRID.kx, GRID.ky[:, None])
        shift = kx * latents.shift[0] + ky * latents.shift[1]
        transfer = latents.contrast * optics.transfer(GRID) * np.exp(-2j * np.pi * shift)
        precision = float(batch.weight[i]) * NOISE.of_group(optics.group).precision(GRID)
        root = np.sqrt(np.asarray(precision)).ravel()
        row = (root * np.asarray(transfer).ravel())[:, None] * wave * mass
        image = root * np.asarray(batch.images[i]).ravel()
        rows += [row.real, row.imag]
        right += [image.real, image.imag]
    return np.concatenate(rows), np.concatenate(right)


@pytest.fixture(scope="module")
def bent(batch):
    """Dense `A` and images, and the model's sums and its normal operator."""
    fine = model(Bend())
    right = eqx.filter_jit(lambda m: m.right(batch, NOISE, GRID))(fine)
    normal = eqx.filter_jit(lambda m, x: m.normal(x, batch, NOISE, GRID))
    return *dense(batch, Bend()), right, lambda x: normal(fine, x)


def relative(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


def inside(voxels):
    return np.asarray(voxels).ravel()[FLAT]


def test_the_right_hand_side_is_the_dense_one(bent):
    matrix, images, right, _ = bent
    assert relative(inside(right.voxels), matrix.T @ images) < 3e-5
    outside = np.delete(np.asarray(right.voxels).ravel(), FLAT)
    np.testing.assert_array_equal(outside, 0)


def test_the_normal_operator_is_the_dense_one(bent):
    matrix, _, _, normal = bent
    x = np.random.default_rng(4).normal(size=(SIZE,) * 3)
    assert relative(inside(normal(jnp.asarray(x))), matrix.T @ (matrix @ inside(x))) < 3e-5


def test_the_normal_operator_is_symmetric_to_rounding(bent):
    x, y = np.random.default_rng(5).normal(size=(2, SIZE, SIZE, SIZE))
    normal = bent[3]
    one, other = np.vdot(x, normal(jnp.asarray(y))), np.vdot(y, normal(jnp.asarray(x)))
    assert abs(one - other) < 1e-12 * np.linalg.norm(x) * np.linalg.norm(normal(jnp.asarray(y)))


def test_images_laid_down_together_give_the_same_sums(batch, bent):
    x = jnp.asarray(np.random.default_rng(6).normal(size=(SIZE,) * 3))
    several = eqx.filter_jit(
        lambda m: (m.right(batch, NOISE, GRID), m.normal(x, batch, NOISE, GRID))
    )
    right, normal = several(model(Bend(), together=4))
    np.testing.assert_allclose(right.voxels, bent[2].voxels, atol=1e-9)
    np.testing.assert_allclose(right.weight, bent[2].weight, rtol=1e-12)
    np.testing.assert_allclose(normal, bent[3](x), rtol=1e-9, atol=1e-9)


def test_the_default_splat_is_within_a_thousandth(batch, bent):
    right = eqx.filter_jit(lambda m: m.right(batch, NOISE, GRID))(model(Bend(), Splat()))
    assert relative(right.voxels, bent[2].voxels) < 1e-3


def test_the_level_has_the_trace_of_the_images(batch, bent):
    """Every voxel that keeps its mass has the same diagonal, and the level's mean is that."""
    still = eqx.filter_jit(lambda m, x: m.normal(x, batch, NOISE, GRID))
    point = jnp.zeros((SIZE,) * 3).at[8, 8, 8].set(1.0)
    diagonal = still(model(Still()), point)[8, 8, 8]
    ones, ratio = jnp.ones((SIZE,) * 3), jnp.full(SIZE // 2 + 1, 1.0)
    how = regulariser(bent[2].weight, ratio, ones, jnp.asarray(PIXEL))
    # What the images add to the penalty; nothing beyond the Nyquist sphere.
    level = 1 / np.asarray(how.inverse) - np.asarray(how.penalty)
    twice = np.full(SIZE // 2 + 1, 2.0)
    twice[[0, -1]] = 1.0
    np.testing.assert_allclose((level * twice).sum() / SIZE**3, diagonal, rtol=1e-4)


def test_conjugate_gradients_reach_the_dense_solution(bent):
    matrix, images, right, normal = bent
    window = jnp.asarray(ball())
    how = regulariser(right.weight, jnp.full(SIZE // 2 + 1, 0.1), window, jnp.asarray(PIXEL))
    operator = lambda x: normal(x) + how.prior(x)
    stopping = Stopping(1e-9, 300)
    found = conjugate_gradients(
        operator, right.voxels, how.precondition, jnp.zeros_like(window), stopping
    )
    points = jax.vmap(lambda j: jnp.zeros(SIZE**3).at[j].set(1.0).reshape((SIZE,) * 3))
    prior = jax.vmap(how.prior)(points(jnp.asarray(FLAT))).reshape(len(FLAT), -1)[:, FLAT]
    whole = matrix.T @ matrix + np.asarray(prior)
    expected = np.linalg.solve(whole, matrix.T @ images)
    assert found.iterations < 300
    assert relative(inside(found.x), expected) < 2e-4
    np.testing.assert_array_equal(np.delete(np.asarray(found.x).ravel(), FLAT), 0)


def test_the_preconditioner_is_worth_it(bent):
    """A hundredth of the right-hand side within six iterations."""
    right, normal = bent[2:]
    window = jnp.asarray(ball())
    how = regulariser(right.weight, jnp.full(SIZE // 2 + 1, 0.1), window, jnp.asarray(PIXEL))
    operator, start = lambda x: normal(x) + how.prior(x), jnp.zeros_like(window)
    steps = [
        conjugate_gradients(operator, right.voxels, by, start, Stopping(1e-2, 60)).iterations
        for by in (how.precondition, lambda x: window * x)
    ]
    assert steps[0] <= 6
    assert steps[0] < steps[1]


def test_widths_are_refused(batch):
    with pytest.raises(ValueError, match="no width"):
        model(Widening()).normal(jnp.ones((SIZE,) * 3), batch, NOISE, GRID)
