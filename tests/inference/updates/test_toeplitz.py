"""The exact normal equations against dense matrices of exact Fourier sums, in float64."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.devices import data_mesh, place_batch
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.updates import wiener
from cryojax_het.inference.updates.conjugate_gradients import Stopping, conjugate_gradients
from cryojax_het.inference.updates.least_squares import LeastSquares
from cryojax_het.inference.updates.methods import Exact
from cryojax_het.inference.updates.toeplitz import (
    Ball,
    ExactEquations,
    WholeBox,
    convolve,
    plane_wave_weights,
    solve,
)
from cryojax_het.volumes.kernel import Kernel, quadratic
from cryojax_het.volumes.voxels import Voxels

SIZE, SPACING, IMAGES = 8, 2.0, 24
GRID = FourierGrid(SIZE, SPACING)
NOISE = WhiteNoise(0.7)
FINE = Kernel(width=7, padding=2.0, degree=9, smoothing=0.0)  # interpolation error ~1e-5


def optics(count):
    full = lambda x: jnp.full(count, x)
    return Optics(
        defocus_u=jnp.linspace(9e3, 2e4, count),
        defocus_v=jnp.linspace(8e3, 1.9e4, count),
        astigmatism_angle=full(0.4),
        wavelength=full(0.0197),
        spherical_aberration=full(2.7e7),
        amplitude_contrast=full(0.1),
        phase_shift=full(0.3),
        b_factor=full(0.0),
        scale=full(1.0),
        group=jnp.zeros(count, jnp.int32),
    )


def latents(count):
    rng = np.random.default_rng(1)
    return Latents(
        jnp.zeros((count, 0)),
        jnp.asarray(Rotation.random(count, random_state=2).as_matrix()),
        jnp.asarray(rng.normal(size=(count, 2))),
        jnp.asarray(rng.uniform(0.8, 1.2, count)),
    )


def batch(images, weight=None):
    count = len(images)
    weight = jnp.ones(count) if weight is None else weight
    return Batch(jnp.asarray(images), optics(count), latents(count), jnp.arange(count), weight)


def dense_rows():
    """`A` by explicit Fourier sums over voxels: `[image · (re, im) · frequency, voxel]`, whitened,
    and the row weights that whiten images alike."""
    axis = (np.arange(SIZE) - SIZE // 2) * SPACING
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    r = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    ky, kx = np.meshgrid(
        np.fft.fftfreq(SIZE, SPACING), np.arange(SIZE // 2 + 1) / (SIZE * SPACING), indexing="ij"
    )
    inside = kx**2 + ky**2 < (0.5 / SPACING) ** 2 - 1e-12
    k = np.stack([kx[inside], ky[inside], 0 * kx[inside]], axis=-1)
    count = np.where(kx[inside] == 0, 1.0, 2.0)  # what the half-plane leaves out
    root = np.sqrt(count / (0.7 * (SIZE * SPACING) ** 2))
    rows, given, lens = [], latents(IMAGES), optics(IMAGES)
    for i in range(IMAGES):
        one = jax.tree.map(lambda v, i=i: v[i], lens)
        transfer = given.contrast[i] * np.asarray(one.transfer(GRID))[inside]
        shift = np.exp(-2j * np.pi * k[:, :2] @ np.asarray(given.shift[i]))
        wave = np.exp(-2j * np.pi * (k @ np.asarray(given.rotation[i])) @ r.T)
        row = (root * transfer * shift)[:, None] * wave * SPACING**3
        rows += [row.real, row.imag]
    return np.concatenate(rows), inside, root


def whitened(images, inside, root):
    parts = [(root * np.asarray(im)[inside]) for im in images]
    return np.concatenate([np.concatenate([p.real, p.imag]) for p in parts])


@pytest.fixture(scope="module")
def problem():
    """Dense `A`, whitened images of random noise, and the equations under the fine kernel."""
    matrix, inside, root = dense_rows()
    rng = np.random.default_rng(3)
    shape = (IMAGES, SIZE, SIZE // 2 + 1)
    images = np.fft.rfft2(rng.normal(size=(IMAGES, SIZE, SIZE))).reshape(shape)
    empty = ExactEquations.zeros(SIZE, jnp.asarray(SPACING), FINE)
    given = batch(images)
    equations = empty.add(given, given.latents, NOISE, GRID)
    return matrix, whitened(images, inside, root), equations


def test_convolution_is_the_dense_normal_operator(problem):
    matrix, _, equations = problem
    kernel = equations.convolution() * SPACING**6
    d = SIZE + np.arange(SIZE)[:, None] - np.arange(SIZE)
    both = lambda a: a.transpose(0, 2, 4, 1, 3, 5).reshape(SIZE**3, SIZE**3)
    ours = both(np.asarray(kernel)[np.ix_(d.ravel(), d.ravel(), d.ravel())].reshape((SIZE,) * 6))
    dense = matrix.T @ matrix
    np.testing.assert_allclose(ours, dense, atol=2e-3 * dense.max())
    assert np.linalg.norm(ours - dense) < 3e-4 * np.linalg.norm(dense)


def test_convolve_sums_over_pairs_of_voxels(problem):
    kernel = np.asarray(problem[2].convolution())
    v = np.random.default_rng(4).normal(size=(SIZE,) * 3)
    expected = np.zeros_like(v)
    for z, y, x in itertools.product(range(SIZE), repeat=3):
        window = kernel[tuple(slice(SIZE - a, 2 * SIZE - a) for a in (z, y, x))]
        expected += v[z, y, x] * window
    spectrum = jnp.fft.rfftn(jnp.fft.ifftshift(jnp.asarray(kernel))).real
    np.testing.assert_allclose(convolve(spectrum, jnp.asarray(v)), expected, rtol=1e-10, atol=1e-8)


def test_plane_wave_weights_are_the_diagonal_in_the_fourier_basis(problem):
    matrix, _, equations = problem
    weights = np.asarray(plane_wave_weights(equations.convolution())) * SPACING**6
    dense = matrix.T @ matrix
    for z, y, x in [(0, 0, 0), (1, 2, 3), (7, 0, 2), (5, 6, 1)]:
        k = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij")).reshape(3, -1)
        wave = np.exp(2j * np.pi * (np.array([z, y, x]) @ k) / SIZE) / SIZE**1.5
        expected = (wave.conj() @ dense @ wave).real
        assert weights[z, y, x] == pytest.approx(expected, rel=3e-3)


def test_right_hand_side_is_the_dense_adjoint(problem):
    matrix, images, equations = problem
    ours = np.asarray(equations.right_hand_side()).ravel() * SPACING**3
    expected = matrix.T @ images
    assert np.linalg.norm(ours - expected) < 1e-3 * np.linalg.norm(expected)


def test_right_hand_side_is_the_adjoint_of_rendering():
    """To rounding, whatever the kernel: `Re⟨A v, y⟩` with precision equals `⟨v, A* y⟩`."""
    rng = np.random.default_rng(5)
    v = jnp.asarray(rng.normal(size=(SIZE,) * 3))
    given = batch(np.fft.rfft2(rng.normal(size=(IMAGES, SIZE, SIZE))))
    volume = Voxels(v, jnp.asarray(SPACING), quadratic()).prepare(GRID)
    rendered = jax.vmap(lambda l, o: render(volume, l, o, GRID))(given.latents, given.optics)
    left = jnp.sum(NOISE.precision(GRID) * (rendered.conj() * given.images).real)
    equations = ExactEquations.zeros(SIZE, jnp.asarray(SPACING), quadratic())
    equations = equations.add(given, given.latents, NOISE, GRID)
    right = jnp.vdot(v, equations.right_hand_side()) * SPACING**3
    assert float(left) == pytest.approx(float(right), rel=1e-10)


@pytest.mark.parametrize("support", [WholeBox(), Ball(2.0, 1.0)])
def test_solution_is_that_of_dense_algebra(problem, support):
    """Constrained to `support · band-limited`, the prior on the Fourier basis of the box."""
    matrix, images, equations = problem
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    shells, inside = np.minimum(np.rint(radius).astype(int), SIZE // 2), radius < SIZE // 2
    waves = np.fft.fftn(np.eye(SIZE**3).reshape(-1, *(SIZE,) * 3), axes=(1, 2, 3), norm="ortho")
    waves = waves.reshape(SIZE**3, SIZE**3).T
    dense = matrix.T @ matrix
    weight = np.einsum("fi,ij,fj->f", waves, dense, waves.conj()).real
    chosen = inside.ravel()
    stored = inside & (np.arange(SIZE) <= SIZE // 2)  # means are over the half-grid
    mean = np.bincount(shells[stored], weight.reshape(shells.shape)[stored])
    mean = mean / np.bincount(shells[stored])
    prior = np.linspace(0.05, 0.4, SIZE // 2 + 1)
    penalty = (waves.conj().T * (prior[shells] * mean[shells]).ravel()) @ waves
    window = support.window(SIZE).ravel()
    basis = window[:, None] * ((waves.conj().T * chosen) @ waves).real
    normal = basis.T @ (dense + penalty.real) @ basis
    expected = basis @ np.linalg.lstsq(normal, basis.T @ (matrix.T @ images), rcond=1e-9)[0]
    ours = solve(equations, jnp.asarray(prior), support, Stopping(1e-8, 400))
    assert np.linalg.norm(np.ravel(ours) - expected) < 5e-3 * np.linalg.norm(expected)


def test_conjugate_gradients_solve_a_symmetric_system():
    rng = np.random.default_rng(6)
    root = rng.normal(size=(30, 30))
    matrix, right = root @ root.T + np.eye(30), rng.normal(size=30)
    found = conjugate_gradients(
        lambda x: jnp.asarray(matrix) @ x,
        jnp.asarray(right),
        lambda x: x / jnp.diag(matrix),
        jnp.zeros(30),
        Stopping(1e-12, 200),
    )
    np.testing.assert_allclose(found.x, np.linalg.solve(matrix, right), rtol=1e-8, atol=1e-10)
    assert 0 < int(found.iterations) < 200
    assert float(found.residual) < 1e-11


def test_conjugate_gradients_stop_at_the_limit_and_at_a_solution():
    matrix = jnp.diag(jnp.arange(1.0, 21.0))
    same = lambda x: x
    limited = conjugate_gradients(
        lambda x: matrix @ x, jnp.ones(20), same, jnp.zeros(20), Stopping(1e-12, 3)
    )
    assert int(limited.iterations) == 3
    solved = 1 / jnp.arange(1.0, 21.0)
    done = conjugate_gradients(lambda x: matrix @ x, jnp.ones(20), same, solved, Stopping())
    assert int(done.iterations) == 0
    nothing = conjugate_gradients(
        lambda x: matrix @ x, jnp.zeros(20), same, jnp.zeros(20), Stopping()
    )
    np.testing.assert_array_equal(nothing.x, 0)


def noiseless(count):
    """Images of voxels rendered under the fine kernel, and those voxels."""
    grid_truth = np.random.default_rng(7).normal(size=(SIZE,) * 3)
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    truth = np.fft.ifftn(np.fft.fftn(grid_truth) * (radius < SIZE // 2)).real
    volume = Voxels(jnp.asarray(truth), jnp.asarray(SPACING), FINE).prepare(GRID)
    images = jax.vmap(lambda l, o: render(volume, l, o, GRID))(latents(count), optics(count))
    return truth, batch(images)


def test_noiseless_images_give_their_volume_where_the_diagonal_solution_does_not():
    truth, given = noiseless(400)
    equations = ExactEquations.zeros(SIZE, jnp.asarray(SPACING), FINE)
    equations = equations.add(given, given.latents, NOISE, GRID)
    none = jnp.zeros(SIZE // 2 + 1)
    error = lambda v: np.linalg.norm(v - truth) / np.linalg.norm(truth)
    exact = solve(equations, none, WholeBox(), Stopping(1e-7, 200))
    assert error(exact) < 0.02
    assert error(wiener.solve(equations.diagonal, none)) > 5 * error(exact)


def test_update_over_devices_is_the_same_as_one_sum():
    """Four devices, a padding row of weight zero, float32 nowhere: sums agree to rounding."""
    truth, given = noiseless(IMAGES)
    given = batch(given.images, jnp.ones(IMAGES).at[-1].set(0))
    mesh = data_mesh()
    model = Model(
        Voxels(jnp.asarray(truth), jnp.asarray(SPACING)),
        NOISE,
        LocalPrior(0.1, 1.0, 1.0, 0.1),
        AsGiven(),
    )
    update = LeastSquares(jnp.asarray(SPACING), SIZE, mesh, method=Exact())
    state = update.init(model)
    placed = place_batch(mesh)(given)
    # Compiled, as in use: what passes between devices one operation at a time can wait for ever.
    step = eqx.filter_jit(update.step)
    _, state, _, metrics = step(model, state, placed, GRID, jax.random.key(0))
    total = jax.device_get(eqx.filter_jit(lambda s: s.total())(state))
    assert float(metrics["images"]) == IMAGES - 1
    whole = ExactEquations.zeros(SIZE, jnp.asarray(SPACING), quadratic())
    whole = whole.add(given, given.latents, NOISE, GRID)
    for ours, expected in zip(jax.tree.leaves(total), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)
    model, emptied = eqx.filter_jit(update.sweep)(model, state)
    assert not np.any(np.asarray(jax.tree.leaves(emptied.equations)[0]))
    expected = solve(whole, state.noise_to_signal, WholeBox(), Stopping())
    np.testing.assert_allclose(model.volume.voxels, expected, rtol=1e-6, atol=1e-8)


def test_sums_of_sets_of_images_add_up():
    _, given = noiseless(IMAGES)
    empty = ExactEquations.zeros(SIZE, jnp.asarray(SPACING), quadratic())
    once = empty.add(given, given.latents, NOISE, GRID)
    np.testing.assert_allclose(once.plus(once).weights, 2 * once.weights)
    np.testing.assert_allclose(once.plus(once).diagonal.table, 2 * once.diagonal.table)


def test_too_large_a_box_is_refused_with_the_largest_that_fits():
    with pytest.raises(ValueError, match="at most 646 pixels"):
        jax.eval_shape(lambda: ExactEquations.zeros(648, jnp.asarray(1.0), quadratic()))
    jax.eval_shape(lambda: ExactEquations.zeros(646, jnp.asarray(1.0), quadratic()))


def test_a_ball_without_radius_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        Ball(0.0)
