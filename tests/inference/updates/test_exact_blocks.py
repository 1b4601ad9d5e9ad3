"""The exact equations of several volumes against dense matrices of exact Fourier sums, in float64;
EM with them never lowers what it climbs."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference.devices import data_mesh, place_batch
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.updates.conjugate_gradients import Stopping
from cryojax_het.inference.updates.exact_blocks import ExactBlockEquations
from cryojax_het.inference.updates.principal_volumes import PrincipalVolumes
from cryojax_het.inference.updates.toeplitz import Ball, WholeBox
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import linear_of, stacked

from .test_toeplitz import FINE, GRID, IMAGES, NOISE, SIZE, SPACING, batch, dense_rows, whitened

Q = 2
POWER = np.stack([np.linspace(4e3, 1e3, SIZE // 2 + 1), np.linspace(9e2, 3e2, SIZE // 2 + 1)])


@pytest.fixture(scope="module")
def problem():
    """Dense block matrix and right-hand side, and the equations under the fine kernel."""
    matrix, inside, root = dense_rows()
    rng = np.random.default_rng(3)
    images = np.fft.rfft2(rng.normal(size=(IMAGES, SIZE, SIZE)))
    given = batch(images)
    contrast = np.asarray(given.latents.contrast)
    first = rng.normal(size=(IMAGES, Q))
    rest = rng.normal(size=(IMAGES, Q, Q))
    second = first[:, :, None] * first[:, None, :] + rest @ rest.transpose(0, 2, 1)
    # The dense rows have the contrast in them, the moments should have: once in all.
    rows = matrix.reshape(IMAGES, -1, SIZE**3) / contrast[:, None, None]
    data = whitened(images, inside, root).reshape(IMAGES, -1)
    squares = rows.transpose(0, 2, 1) @ rows
    normal = np.einsum("iab,ivw->avbw", second, squares).reshape(Q * SIZE**3, -1)
    right = np.einsum("ia,irv,ir->av", first, rows, data)
    empty = ExactBlockEquations.zeros(Q, SIZE, jnp.asarray(SPACING), FINE)
    moments = jnp.asarray(first), jnp.asarray(second)
    equations = eqx.filter_jit(lambda e: e.add(given, given.latents, moments, NOISE, GRID))(empty)
    return normal, right, equations


def waves_and_shells():
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    shells, inside = np.minimum(np.rint(radius).astype(int), SIZE // 2), radius < SIZE // 2
    waves = np.fft.fftn(np.eye(SIZE**3).reshape(-1, *(SIZE,) * 3), axes=(1, 2, 3), norm="ortho")
    return waves.reshape(SIZE**3, SIZE**3).T, shells, inside


def test_right_hand_sides_are_dense_adjoints(problem):
    _, right, equations = problem
    ours = np.asarray(equations.right_hand_side()).reshape(Q, -1) * SPACING**3
    assert np.linalg.norm(ours - right) < 1e-3 * np.linalg.norm(right)


@pytest.mark.parametrize("support", [WholeBox(), Ball(2.0, 1.0)])
def test_solution_is_that_of_dense_algebra(problem, support):
    normal, right, equations = problem
    waves, shells, inside = waves_and_shells()
    scale = SIZE**3 * SPACING**6
    penalty = np.zeros((Q, SIZE**3, Q, SIZE**3))
    for a in range(Q):
        of_wave = (scale / POWER[a])[shells].ravel()
        penalty[a, :, a] = ((waves.conj().T * of_wave) @ waves).real
    window = support.window(SIZE).ravel()
    limited = window[:, None] * ((waves.conj().T * inside.ravel()) @ waves).real
    basis = np.kron(np.eye(Q), limited)
    system = basis.T @ (normal + penalty.reshape(normal.shape)) @ basis
    expected = basis @ np.linalg.lstsq(system, basis.T @ right.ravel(), rcond=1e-9)[0]
    tight = replace(equations, stopping=Stopping(1e-8, 600))
    start = jnp.zeros((Q, SIZE, SIZE, SIZE))
    found = tight.solve(jnp.asarray(POWER), start, jnp.asarray(support.window(SIZE)))
    assert np.linalg.norm(np.ravel(found.voxels) - expected) < 5e-3 * np.linalg.norm(expected)


def test_covariance_of_a_shell_is_near_the_dense_one(problem):
    """Of Fourier coefficients in the whole box, the posterior's covariance being `H⁻¹`: the nearest
    circulant stands for `H`, which can only make it smaller, `f*H⁻¹f ≥ 1/f*Hf`; with 24 images
    by up to a factor of three."""
    normal, _, equations = problem
    waves, shells, inside = waves_and_shells()
    scale = SIZE**3 * SPACING**6
    penalty = np.zeros((Q, SIZE**3, Q, SIZE**3))
    for a in range(Q):
        penalty[a, :, a] = ((waves.conj().T * (scale / POWER[a])[shells].ravel()) @ waves).real
    inverse = np.linalg.inv(normal + penalty.reshape(normal.shape)).reshape(Q, SIZE**3, Q, SIZE**3)
    window = jnp.ones((SIZE,) * 3)
    found = equations.solve(jnp.asarray(POWER), jnp.zeros((Q, *window.shape)), window).covariance
    for a in range(Q):
        own = np.einsum("kv,vw,kw->k", waves, inverse[a, :, a], waves.conj()).real * scale
        for shell in (1, 2, 3):
            chosen = (shells == shell) & inside
            expected = own.reshape(shells.shape)[chosen].mean()
            assert 0.3 * expected < float(found[shell, a, a]) < 1.02 * expected


COUNT, SIGMA = 96, 0.5


@pytest.fixture(scope="module")
def linear(tiny):
    """Noisy images of a linear volume of two components, their contrasts, and a start."""
    v = tiny.volume.density(jnp.zeros(0), tiny.grid)
    truth = jnp.stack([v, 0.5 * jnp.roll(v, 3, axis=0), 0.4 * jnp.roll(v, 4, axis=1)])
    volume = linear_of(truth, tiny.grid.pixel_size, quadratic())
    batch = tiny.batch(COUNT)
    noise = WhiteNoise.per_pixel(
        SIGMA * jnp.abs(tiny.grid.to_image(batch.images[0])).max(), tiny.grid
    )
    keys = jax.random.split(jax.random.key(3), 3)
    t = batch.latents
    contrast = 1 + 0.2 * jax.random.normal(keys[0], (COUNT,))
    latents = Latents(jax.random.normal(keys[1], (COUNT, 2)), t.rotation, t.shift, contrast)
    clean = jax.vmap(lambda l, o: render(volume, l, o, tiny.grid))(latents, batch.optics)
    images = jax.vmap(lambda k, m: noise.sample(k, m, tiny.grid))(
        jax.random.split(keys[2], COUNT), clean
    )
    batch = eqx.tree_at(lambda b: (b.images, b.latents), batch, (images, latents))
    mask = jnp.asarray(Ball(6.0, 2.0).window(tiny.grid.size))
    random = jax.random.normal(keys[2], truth[1:].shape) * jnp.abs(v).max() * 0.1
    start = jnp.concatenate([v[None], random]) * mask
    return batch, noise, start, mask


def course(tiny, linear, equations, width, passes):
    """Log-likelihood per pass from the start, priors weak; volumes are taken for known in each."""
    batch, noise, start, mask = linear
    mesh = data_mesh()
    batch = place_batch(mesh)(batch)
    prior = LocalPrior(1.0, 1.0, 1.0, width)
    volume = linear_of(start, tiny.grid.pixel_size, quadratic())
    model = Model(volume, noise, prior, LinearGaussianPosterior())
    update = PrincipalVolumes(
        tiny.grid.pixel_size, mask, tiny.grid.size, 2, mesh, equations=equations
    )
    weak = jnp.full((3, tiny.grid.size // 2 + 1), 1e12)
    step = eqx.filter_jit(lambda m, s: update.step(m, s, batch, tiny.grid, jax.random.key(0)))
    sweep = eqx.filter_jit(lambda m, s: update.sweep(m, s)[0])
    found = []
    for _ in range(passes):
        _, state, _, metrics = step(model, update.under(weak))
        found.append(float(metrics["log_likelihood"]))
        volumes = stacked(sweep(model, state).volume)
        known = linear_of(volumes, tiny.grid.pixel_size, quadratic())
        model = Model(known, noise, prior, LinearGaussianPosterior())
    return np.array(found)


@pytest.mark.parametrize("width", [0.0, 0.2])
def test_likelihood_never_decreases(tiny, linear, width):
    """The contrast known to be 1 (which it is not), and integrated over."""
    found = course(tiny, linear, ExactBlockEquations, width, 12)
    assert np.all(np.diff(found) > -1e-6 * np.abs(found[:-1]))
    assert found[-1] > found[0] + COUNT
