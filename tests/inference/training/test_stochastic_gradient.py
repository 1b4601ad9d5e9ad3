"""Training finds the motion; steps are safe, compiled once, and the same on all devices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cryojax_het.inference.devices import data_mesh, place_batch
from cryojax_het.inference.encoders.encoded import Encoded
from cryojax_het.inference.encoders.score_gradient import measured, score_gradient_encoder
from cryojax_het.inference.model import Model
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.structural.restraint import AbstractRestraint
from cryojax_het.inference.training.balance import BalancedGradients
from cryojax_het.inference.training.conformation_energy import OfPositions
from cryojax_het.inference.training.stochastic_gradient import StochasticGradient
from cryojax_het.volumes.anchors import Anchors
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.neural_motions import neural_motions

KEY = jax.random.key(0)
PRIOR = LocalPrior(0.1, 1.0, 1.0, 0.1)
BATCH = 64
OPTIMISER = optax.adam(5e-3)


class Spring(AbstractRestraint):
    """Holds every Gaussian at its place."""

    places: jax.Array

    def energy(self, positions):
        return 0.5 * jnp.sum((positions - self.places) ** 2)

    def adapted(self, conformations):
        return self


@pytest.fixture(scope="module")
def model(rod_images):
    reference = rod_images.reference()
    centres = reference.positions[::6]
    anchors = Anchors(centres, 8.0, neural_motions(KEY, 4, 2, (16, 1)))
    weights = anchors.weights(reference.positions)
    contrast = (PRIOR.contrast_mean, PRIOR.contrast_width)
    encoder = score_gradient_encoder(KEY, reference, weights, 2, contrast, layers=(32, 2))
    first = [rod_images.take(np.arange(128))]
    encoder = measured(encoder, rod_images.noise, first, rod_images.grid)
    volume = DisplacedMixture(reference, anchors)
    return Model(volume, rod_images.noise, PRIOR, Encoded(encoder))


def trained_parts(model):
    return (
        model.volume.displacement.motion.parameters,
        model.posterior.encoder.head.parameters,
    )


@pytest.fixture(scope="module")
def trainable(model):
    none = jax.tree.map(lambda _: False, model)
    chosen = jax.tree.map(lambda _: True, trained_parts(model))
    return eqx.tree_at(trained_parts, none, chosen)


def update_of(trainable, **options):
    return StochasticGradient(OPTIMISER, trainable, **options)


@pytest.fixture(scope="module")
def step(rod_images):
    traced = []

    @eqx.filter_jit
    def step(update, model, state, batch, key):
        traced.append(1)
        return update.step(model, state, batch, rod_images.grid, key)

    return step, traced


def passes(update, model, rod_images, step, count):
    state, metrics = update.init(model), []
    for number in range(count):
        order = np.random.default_rng(number).permutation(len(rod_images.angles))
        for start in range(0, len(order), BATCH):
            batch = rod_images.take(order[start : start + BATCH])
            key = jax.random.fold_in(KEY, number * 1000 + start)
            model, state, _, found = step(update, model, state, batch, key)
            metrics.append(found)
    return model, metrics


def test_the_motion_is_found_and_the_bound_rises(model, trainable, rod_images, step):
    update = update_of(trainable, divergence_weight=1.0)
    found, metrics = passes(update, model, rod_images, step[0], 12)
    score = lambda m: float((m["gain"] - jnp.sum(m["divergence"])) / m["images"])
    first, last = (np.mean([score(m) for m in part]) for part in (metrics[:4], metrics[-8:]))
    assert last > first + 1
    belief = found.posterior.infer(
        KEY, found.volume, found.noise, PRIOR, rod_images.batch, rod_images.grid
    )
    z = np.asarray(belief.latents.conformation)
    design = np.column_stack([np.ones(len(z)), z, z**2, z[:, :1] * z[:, 1:]])
    fitted = design @ np.linalg.lstsq(design, rod_images.angles, rcond=None)[0]
    assert np.corrcoef(fitted, rod_images.angles)[0, 1] > 0.9


def test_only_what_is_trainable_moves(model, trainable, rod_images, step):
    update = update_of(trainable)
    moved, *_ = step[0](update, model, update.init(model), rod_images.take(np.arange(BATCH)), KEY)
    still = jax.tree.map(lambda flag: not flag, trainable)
    for after, before in zip(
        jax.tree.leaves(eqx.filter(moved, still)),
        jax.tree.leaves(eqx.filter(model, still)),
        strict=True,
    ):
        np.testing.assert_array_equal(after, before)
    assert not eqx.tree_equal(trained_parts(moved), trained_parts(model))


def test_a_batch_that_is_not_finite_moves_nothing_and_is_counted(
    model, trainable, rod_images, step
):
    update = update_of(trainable)
    batch = rod_images.take(np.arange(BATCH))
    broken = eqx.tree_at(lambda b: b.images, batch, batch.images.at[3].set(np.nan))
    state = update.init(model)
    after, _, _, metrics = step[0](update, model, state, broken, KEY)
    assert eqx.tree_equal(after, model)
    assert metrics["not_finite"] == BATCH


def test_rows_of_weight_0_do_not_count(model, trainable, rod_images, step):
    update = update_of(trainable)
    batch = rod_images.take(np.arange(BATCH))
    weight = jnp.ones(BATCH).at[BATCH // 2 :].set(0)
    half = eqx.tree_at(lambda b: b.weight, batch, weight)
    other = eqx.tree_at(lambda b: b.images, half, half.images.at[BATCH // 2 :].multiply(5.0))
    first, second = (step[0](update, model, update.init(model), b, KEY) for b in (half, other))
    assert first[3]["images"] == BATCH // 2
    for a, b in zip(jax.tree.leaves(first[0]), jax.tree.leaves(second[0]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_one_compilation_serves_every_weight_and_batch(model, trainable, rod_images, step):
    count = len(step[1])
    for weight in (0.1, 0.7):
        update = update_of(trainable, divergence_weight=weight)
        step[0](update, model, update.init(model), rod_images.take(np.arange(BATCH)), KEY)
    assert len(step[1]) <= count + 1


def test_devices_share_the_work(model, trainable, rod_images, step):
    update = update_of(trainable)
    batch = rod_images.take(np.arange(BATCH))
    alone = step[0](update, model, update.init(model), batch, KEY)
    spread = step[0](update, model, update.init(model), place_batch(data_mesh())(batch), KEY)
    for name in ("gain", "loss", "divergence"):
        np.testing.assert_allclose(alone[3][name], spread[3][name], rtol=1e-8)


def test_loose_restraints(model, trainable, rod_images, step):
    """Of weight 0 they are none; of weight 1 the energy is the mean over every fourth image, on
    one device or on four."""
    batch = rod_images.take(np.arange(BATCH))
    spring = Spring(model.volume.reference.positions + 1)
    after = lambda b, **options: step[0](
        made := update_of(trainable, **options), model, made.init(model), b, KEY
    )
    free = after(batch)
    loose = after(batch, restraint=OfPositions(spring), restraint_weight=0.0)
    for a, b in zip(jax.tree.leaves(free[0]), jax.tree.leaves(loose[0]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    whole = after(batch, restraint=OfPositions(spring))
    spread = after(place_batch(data_mesh())(batch), restraint=OfPositions(spring))
    count = len(spring.places)
    # At rest every image has the reference, each Gaussian (1, 1, 1) Å away.
    np.testing.assert_allclose(whole[3]["energy"] / BATCH, 1.5 * count, rtol=1e-6)
    np.testing.assert_allclose(spread[3]["energy"], whole[3]["energy"], rtol=1e-8)
    assert whole[3]["factor"] == BATCH
    assert loose[3]["factor"] == 0
    assert not eqx.tree_equal(whole[0], free[0])


def test_restraints_pull_as_hard_as_the_images(model, trainable, rod_images, step):
    """Balanced, a spring that alone would weigh nothing holds the molecule near its place."""
    free = update_of(trainable)
    moved = passes(free, model, rod_images, step[0], 3)[0].volume
    spring = Spring(model.volume.reference.positions)
    held = update_of(trainable, restraint=OfPositions(spring), balance=BalancedGradients())
    stays = passes(held, model, rod_images, step[0], 3)[0].volume
    z = jnp.array([1.0, -1.0])
    energy = lambda volume: float(spring.energy(volume.at(z).positions))
    assert energy(stays) < 0.5 * energy(moved)
