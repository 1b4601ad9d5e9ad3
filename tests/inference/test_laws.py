"""What holds for every posterior and update, found by walking the package: a new file is tested
by being there."""

import importlib
import inspect
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cryojax_het.inference.posteriors as posteriors
import cryojax_het.inference.updates as updates
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.devices import data_mesh
from cryojax_het.inference.posterior import (
    AbstractPosterior,
    ClassBelief,
    Draws,
    Gaussian,
    Hypotheses,
    LinearGaussian,
    Point,
)
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.update import AbstractUpdate
from cryojax_het.volumes.voxels import Voxels

COUNT = 8  # a multiple of the devices
NOISE = ColouredNoise(jnp.full((2, 9), 5.0))
PRIOR = LocalPrior(0.05, 2.0, 1.0, 0.3)
KEY = jax.random.key(0)


def concrete(package, base):
    """Classes below `base` that the modules of `package` define, each with its module."""
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(found.name)
        for name, member in vars(module).items():
            own = inspect.isclass(member) and member.__module__ == module.__name__
            if own and issubclass(member, base) and not inspect.isabstract(member):
                yield name, member, module


def voxels(tiny):
    return Voxels(tiny.volume.density(jnp.zeros(0), tiny.grid), tiny.grid.pixel_size)


@pytest.fixture(scope="module")
def batch(tiny):
    batch = tiny.batch(COUNT, noise=NOISE)
    return eqx.tree_at(lambda b: b.weight, batch, jnp.ones(COUNT).at[-2:].set(0))


# `NodePosterior` needs a volume expanded in functions: its laws are beside its own tests.
POSTERIORS = [
    pytest.param(m, id=n)
    for n, m, _ in concrete(posteriors, AbstractPosterior)
    if n != "NodePosterior"
]
# Laws hold of short chains too.
SHORT = {"chains": 2, "warmup": 3, "draws": 4}
LESS = {"Hamiltonian": SHORT | {"leapfrogs": 2}, "NoUTurn": SHORT | {"depth": 2}}
LESS |= {"LatentTable": {"conformation": jnp.zeros((COUNT, 0))}}  # voxels have no latent
# An update's module makes one, and a model that fits it: `example(voxels, noise, prior, mesh)`.
UPDATES = [pytest.param(m.example, id=n) for n, _, m in concrete(updates, AbstractUpdate)]


def test_there_are_some():
    assert len(POSTERIORS) >= 3
    assert len(UPDATES) >= 1


@pytest.fixture(scope="module", params=POSTERIORS)
def inferred(request, tiny, batch):
    method = request.param(**LESS.get(request.param.__name__, {}))
    infer = eqx.filter_jit(
        lambda b, noise: method.infer(KEY, voxels(tiny), noise, PRIOR, b, tiny.grid)
    )
    return infer, infer(batch, NOISE)


def test_a_belief_has_finite_latents_of_the_batchs_shapes(inferred, batch):
    belief = inferred[1]
    assert isinstance(belief, Point | Gaussian | LinearGaussian | Hypotheses | Draws | ClassBelief)
    for latents in (belief.mean(), belief.sample(KEY)):
        for found, given in zip(
            jax.tree.leaves(latents), jax.tree.leaves(batch.latents), strict=True
        ):
            assert found.shape == given.shape
            assert np.isfinite(found).all()
        square = latents.rotation @ latents.rotation.mT
        np.testing.assert_allclose(square, np.broadcast_to(np.eye(3), square.shape), atol=1e-9)


def test_images_are_inferred_each_on_its_own(inferred, batch):
    """Other images in the batch, and rows of weight 0, change nothing for an image."""
    infer, belief = inferred
    turned = infer(jax.tree.map(lambda x: jnp.roll(x, 3, axis=0), batch), NOISE)
    for found, expected in zip(
        jax.tree.leaves(turned.mean()), jax.tree.leaves(belief.mean()), strict=True
    ):
        np.testing.assert_allclose(found, jnp.roll(expected, 3, axis=0), atol=1e-7)


def test_noise_of_another_group_does_not_matter(inferred, batch):
    infer, belief = inferred
    other = ColouredNoise(NOISE.power.at[1].set(50.0))
    changed = infer(batch, other)
    for found, expected in zip(
        jax.tree.leaves(changed.mean()), jax.tree.leaves(belief.mean()), strict=True
    ):
        np.testing.assert_allclose(found[0::2], expected[0::2], atol=1e-7)


@pytest.fixture(scope="module", params=UPDATES)
def update(request, tiny):
    method, model = request.param(voxels(tiny), NOISE, PRIOR, data_mesh())
    step = eqx.filter_jit(lambda m, s, b: method.step(m, s, b, tiny.grid, KEY))
    return model, method.init, step, eqx.filter_jit(method.sweep)


def leaves_close(first, second, tolerance=1e-9):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        scale = np.abs(np.asarray(b)).max(initial=0.0) + 1e-30
        np.testing.assert_allclose(a, b, atol=tolerance * scale)


def test_a_step_keeps_every_shape_and_counts_the_images(update, batch):
    start, init, step, _ = update
    before = init(start)
    model, state, _, metrics = step(start, before, batch)
    assert metrics["images"] == COUNT - 2
    for found, given in zip(jax.tree.leaves(state), jax.tree.leaves(before), strict=True):
        assert found.shape == given.shape
        assert np.isfinite(found).all()
    assert jax.tree.all(jax.tree.map(lambda x: np.isfinite(x).all(), model))


def test_a_state_without_images_is_unchanged_by_rows_of_weight_0(update, batch):
    start, init, step, _ = update
    none = eqx.tree_at(lambda b: b.weight, batch, jnp.zeros(COUNT))
    leaves_close(step(start, init(start), none)[1], init(start))


def test_the_order_of_batches_does_not_matter(update, batch):
    start, init, step, sweep = update
    other = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), batch)
    other = eqx.tree_at(lambda b: b.images, other, 2 * other.images)
    ends = []
    for order in ([batch, other], [other, batch]):
        model, state = start, init(start)
        for one in order:
            model, state, *_ = step(model, state, one)
        ends.append(sweep(model, state)[0].volume)
    leaves_close(*ends, 1e-6)


def scaled(model, factor):
    """The same model in units of density that are `factor` times smaller."""
    volume = jax.tree.map(lambda x: factor * x if x.ndim >= 3 else x, model.volume)
    noise = ColouredNoise(factor**2 * model.noise.power)
    return eqx.tree_at(lambda m: (m.volume, m.noise), model, (volume, noise))


def test_units_of_density_do_not_matter(update, batch):
    """Images, noise and model in other units: the volume in other units; and it is finite."""
    start, init, step, sweep = update
    ends = []
    for factor in (1.0, 2.0):
        model = scaled(start, factor)
        images = eqx.tree_at(lambda b: b.images, batch, factor * batch.images)
        model, state, *_ = step(model, init(model), images)
        ends.append(sweep(model, state)[0].volume)
    assert jax.tree.all(jax.tree.map(lambda x: np.isfinite(x).all(), ends[0]))
    leaves_close(ends[1], jax.tree_util.tree_map_with_path(in_units_of_half, ends[0]), 1e-3)


def in_units_of_half(path, x):
    """What numbers become: densities twice as large, their covariance four times."""
    name = getattr(path[-1], "name", "")
    if name == "covariance":
        return 4 * x
    return 2 * x if x.ndim >= 3 else x
