"""Latents of a table and the model that decodes them: found together, on any number of devices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cryojax_het.inference.devices import data_mesh, place_batch, replicated
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.posteriors.latent_table import LatentTable, latent_table
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.training.auto_decoding import AutoDecoding, gains_at
from cryojax_het.inference.training.row_adam import RowAdam

from ..linear_world import planted

KEY = jax.random.key(0)
PRIOR = LocalPrior(0.1, 1.0, 1.0, 0.0)
COUNT, BATCH = 48, 16


@pytest.fixture(scope="module")
def images(tiny):
    return planted(tiny, COUNT, 1.0)


@pytest.fixture(scope="module")
def model(images):
    table = LatentTable(jnp.asarray(latent_table(KEY, COUNT, 2).conformation, float))
    return Model(images.volume, images.noise, PRIOR, table)


def update_of(model, rate=0.05, moving=lambda m: [m.volume.mean.voxels]):
    none = jax.tree.map(lambda _: False, model)
    trainable = eqx.tree_at(moving, none, [True]) if moving else none
    return AutoDecoding(optax.sgd(1e-9), trainable, RowAdam(rate, (0.8, 0.95)))


def taken(images, rows, weight=None):
    part = jax.tree.map(lambda x: x[np.asarray(rows)], images.batch)
    weight = jnp.ones(len(rows)) if weight is None else jnp.asarray(weight)
    return eqx.tree_at(lambda b: b.weight, part, weight)


@pytest.fixture(scope="module")
def step(images):
    @eqx.filter_jit
    def step(update, model, state, batch):
        return update.step(model, state, batch, images.grid, KEY)

    return step


def test_rows_come_to_the_most_probable_latents(images, model, step):
    """Which a linear volume has in closed form, and widths with them."""
    update = update_of(model, moving=None)
    found, state = model, update.init(model)
    for number in range(400):
        rows = np.random.default_rng(number).permutation(COUNT)[: COUNT // 2]
        update = eqx.tree_at(lambda u: u.rows.rate, update, jnp.asarray(0.1 * 0.99**number))
        found, state, _, said = step(update, found, state, taken(images, rows))
    assert float(said["not_finite"]) == 0
    exact = LinearGaussianPosterior()
    arguments = (images.volume, images.noise, PRIOR, images.batch, images.grid)
    expected = exact.infer(KEY, *arguments)
    belief = found.posterior.infer(KEY, *arguments)
    joint = eqx.filter_jit(
        lambda z: gains_at(model, z, images.batch, images.grid) - 0.5 * jnp.sum(z**2, axis=1)
    )
    lost = joint(expected.latents.conformation) - joint(belief.latents.conformation)
    assert float(jnp.min(lost)) > -1e-9
    assert float(jnp.max(lost)) < 0.01  # nats
    np.testing.assert_allclose(belief.covariance, expected.covariance, rtol=1e-5, atol=1e-8)


def test_slopes_are_those_of_the_joint_density(images, model, step):
    """One step of a row is `rate` down the sign of its slope, found by differences."""
    update, rows = update_of(model), np.arange(4)
    moved, _, _, said = step(update, model, update.init(model), taken(images, rows))
    table = model.posterior.conformation
    batch = taken(images, rows)
    density = lambda z: gains_at(model, z, batch, images.grid) - 0.5 * jnp.sum(z**2, axis=1)
    density = jax.jit(density)
    for place in range(2):
        shift = jnp.zeros((4, 2)).at[:, place].set(1e-4)
        slope = density(table[rows] + shift) - density(table[rows] - shift)
        change = (moved.posterior.conformation - table)[rows, place]
        np.testing.assert_allclose(change, 0.05 * np.sign(slope), rtol=1e-4)
    np.testing.assert_array_equal(moved.posterior.conformation[4:], table[4:])
    np.testing.assert_allclose(
        float(said["gain"]), np.sum(gains_at(model, table[rows], batch, images.grid))
    )


def test_what_is_shared_moves_too(images, model, step):
    update = update_of(model)
    moved, _, _, _ = step(update, model, update.init(model), taken(images, np.arange(BATCH)))
    assert np.any(moved.volume.mean.voxels != model.volume.mean.voxels)
    np.testing.assert_array_equal(moved.volume.components.voxels, model.volume.components.voxels)


def test_padding_moves_nothing(images, model, step):
    update = update_of(model)
    rows, weight = [3, 7, 9, 9], [1.0, 1.0, 1.0, 0.0]
    padded = step(update, model, update.init(model), taken(images, rows, weight))
    short = step(update, model, update.init(model), taken(images, rows[:3]))
    for one, two in zip(jax.tree.leaves(short[:2]), jax.tree.leaves(padded[:2]), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-12)


def test_a_batch_without_a_finite_slope_moves_nothing(images, model, step):
    update = update_of(model)
    batch = taken(images, np.arange(4))
    broken = eqx.tree_at(lambda b: b.images, batch, batch.images.at[1].set(jnp.nan))
    state = update.init(model)
    moved, after, _, said = step(update, model, state, broken)
    assert float(said["not_finite"]) == 4
    for one, two in zip(
        jax.tree.leaves((model, state)), jax.tree.leaves((moved, after)), strict=True
    ):
        np.testing.assert_array_equal(two, one)


def test_four_devices_find_what_one_does(images, model, step):
    update, mesh = update_of(model), data_mesh()
    assert mesh.size == 4
    batch = taken(images, np.arange(8), [1.0] * 7 + [0.0])
    state = update.init(model)
    one = step(update, model, state, batch)[:2]
    shared = replicated(mesh, (model, state))
    four = step(update, *shared, place_batch(mesh)(batch))[:2]
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(four), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-7, atol=1e-9 * float(np.abs(a).max(initial=0)))


def test_another_posterior_is_refused(images, model):
    other = eqx.tree_at(lambda m: m.posterior, model, AsGiven())
    update = update_of(other)
    with pytest.raises(TypeError, match=r"needs a `LatentTable` for posterior\. Got AsGiven"):
        update.init(other)
