"""Least squares from batch to volume: what it recovers, on one device and on four, and priors."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.fsc import fourier_shell_correlation, volume_shells
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.devices import data_mesh, place_batch
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.updates.least_squares import LeastSquares
from cryojax_het.inference.updates.wiener import noise_to_signal, shell_weights, solve
from cryojax_het.volumes.voxels import Voxels

from ..conftest import World

COUNT = 3000


@pytest.fixture(scope="module")
def batch(world):
    return world.batch(COUNT)


def gathered(world, batch, mesh):
    """Update, model and state after one batch on the devices of `mesh`."""
    size = world.grid.size
    update = LeastSquares(world.grid.pixel_size, size, mesh)
    empty = Voxels(jnp.zeros((size,) * 3), world.grid.pixel_size)
    noise = ColouredNoise(jnp.ones((2, size // 2 + 1)))
    model = Model(empty, noise, LocalPrior(0.1, 1.0, 1.0, 0.1), AsGiven())
    step = eqx.filter_jit(lambda s, b: update.step(model, s, b, world.grid, jax.random.key(0)))
    _, state, posterior, metrics = step(update.init(model), place_batch(mesh)(batch))
    np.testing.assert_allclose(posterior.mean().shift, batch.latents.shift)
    assert metrics["images"] == COUNT
    return update, model, state


@pytest.fixture(scope="module")
def on_one(world, batch):
    auto = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((1,), ("data",), auto, devices=jax.devices()[:1])
    return gathered(world, batch, mesh)


@pytest.fixture(scope="module")
def on_all(world, batch):
    if jax.device_count() != 4:
        pytest.skip("needs the four virtual devices of conftest.py")
    return gathered(world, batch, data_mesh())


@pytest.fixture(scope="module")
def swept(on_one):
    update, model, state = on_one
    return eqx.filter_jit(lambda m, s: update.sweep(m, s))(model, state)


def test_many_noiseless_images_give_the_volume_back(world, swept):
    truth = np.asarray(world.volume.density(jnp.zeros(0), world.grid))
    found = np.asarray(swept[0].volume.voxels)
    assert swept[0].volume.spacing == world.grid.pixel_size
    assert fourier_shell_correlation(found, truth)[1:9].min() > 0.96
    # What the diagonal approximation costs, most of it in shells 1 and 2, where the CTF crosses
    # zero; more images do not help. Exact least squares has no such error.
    assert np.linalg.norm(found - truth) < 0.22 * np.linalg.norm(truth)
    inner = np.vdot(truth, found) / np.vdot(truth, truth)
    assert inner == pytest.approx(1, abs=0.15)


def test_the_sweep_leaves_empty_equations(swept):
    assert not np.asarray(swept[1].equations.table).any()


def test_four_devices_give_the_map_of_one(on_one, on_all):
    maps = []
    for update, model, state in (on_one, on_all):
        voxels = eqx.filter_jit(lambda m, s, u=update: u.sweep(m, s)[0].volume.voxels)
        maps.append(np.asarray(voxels(model, state)))
    assert on_all[2].equations.table.shape[0] == 4
    assert np.linalg.norm(maps[0] - maps[1]) < 1e-6 * np.linalg.norm(maps[0])


def test_a_prior_damps_each_shell_by_the_wiener_factor(world):
    """Under a molecule sharp enough that no shell lives off its neighbours."""
    sharp = replace(world.volume, widths=world.volume.widths * 0.4)
    batch = World(sharp, world.grid).batch(COUNT)
    mesh = jax.make_mesh((1,), ("data",), (jax.sharding.AxisType.Auto,), devices=jax.devices()[:1])
    equations = gathered(world, batch, mesh)[2].total()
    prior = jnp.where(jnp.arange(17) < 8, 0.25, 3.0)
    solved = jax.jit(solve)
    plain, damped = (np.asarray(solved(equations, p)) for p in (jnp.zeros(17), prior))
    shells = volume_shells((32,) * 3)
    a, b = np.fft.rfftn(plain), np.fft.rfftn(damped)
    for shell in (3, 5, 11, 13):
        at = shells == shell
        factor = np.vdot(a[at], b[at]).real / np.vdot(a[at], a[at]).real
        assert factor == pytest.approx(1 / (1 + prior[shell].item()), rel=0.1)


def test_shell_weights_are_means_of_the_diagonal(on_one):
    equations = on_one[2].total()
    _, left = (np.asarray(x) for x in equations.folded())
    m = left.shape[0]
    axis = np.fft.fftfreq(m, 1 / m)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + np.arange(m // 2 + 1) ** 2)
    radius *= 32 / m
    for shell in (1, 4, 15):
        expected = left[np.rint(radius) == shell].mean()
        assert shell_weights(equations)[shell] == pytest.approx(expected, rel=1e-9)


def test_noise_to_signal_is_the_half_map_relation():
    for ratio in (0.3, 1.0, 7.0):
        # Half-maps have twice the noise of the whole: F = 1 / (1 + 2 N/S).
        fsc = jnp.full(3, 1 / (1 + 2 * ratio))
        np.testing.assert_allclose(noise_to_signal(fsc), ratio, rtol=1e-9)
    limits = noise_to_signal(jnp.array([-0.5, 0.0, 1.0]))
    assert np.isfinite(limits).all()
    assert limits[0] == limits[1] > 400
    assert limits[2] < 1e-3
