"""Gradients of the likelihood on nodes against EM's fixed point, and steps that get there."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.inference.hyper_molecules.exact_em import ExactEM, Rise
from cryojax_het.inference.hyper_molecules.gradient import (
    HyperMoleculeGradient,
    mean_diagonal,
    statistics,
)
from cryojax_het.inference.hyper_molecules.image_equations import image_equations
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.hyper_molecule import HyperMolecule

from .small_world import BALL, GRID

NODES = 9
PRIOR = LocalPrior(0.05, 2.0, 1.0, 0.0)
KNOWN = Contrast(jnp.ones(()), jnp.zeros(()))


@pytest.fixture(scope="module")
def setting(seen):
    """EM, its start and its end, and the update from the same start."""
    functions = seen.molecule.functions
    rng = np.random.default_rng(8)
    variance = jnp.asarray(rng.uniform(0.5, 2, (BALL.size, functions.count)))
    start = seen.molecule.coefficients + jnp.asarray(0.3 * rng.normal(size=variance.shape))
    nodes = Nodes.over(functions, NODES)
    update = HyperMoleculeGradient(nodes, variance, images=60)
    model = Model(HyperMolecule(start, BALL, functions), seen.noise, PRIOR, AsGiven())
    return ExactEM(BALL, functions, variance, KNOWN), start, update, model


def test_statistics_are_those_of_image_equations(seen, ball):
    a = seen.molecule.coefficients
    found = eqx.filter_jit(statistics)(BALL, a, seen.noise, seen.batch, GRID)
    expected = ball.statistics([a[rows] for rows in BALL.blocks()])
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())


def test_the_diagonal_is_a_mean_over_views(seen):
    """Of one image seen from 2,000 sides."""
    views = jnp.asarray(Rotation.random(2000, rng=np.random.default_rng(1)).as_matrix())
    alike = jax.tree.map(lambda x: jnp.broadcast_to(x[0], (2000, *x.shape[1:])), seen.batch)
    turned = eqx.tree_at(lambda b: b.latents.rotation, alike, views)
    equations = eqx.filter_jit(image_equations)(BALL, seen.noise, turned, GRID)
    one = jax.tree.map(lambda x: x[:1], seen.batch)
    found = np.asarray(mean_diagonal(BALL, seen.noise, one, GRID))[0]
    for rows, gram in zip(BALL.blocks(), equations.gram, strict=True):
        sampled = np.asarray(jnp.einsum("bkk->k", gram)) / 2000
        np.testing.assert_allclose(sampled, found[rows], rtol=0.15)
        assert sampled.sum() == pytest.approx(found[rows].sum(), rel=0.02)


def after(update, model, seen, steps):
    """Coefficients, and the log posterior before each step."""
    step = eqx.filter_jit(lambda m, s: update.step(m, s, seen.batch, GRID, jax.random.key(0)))
    state, values = update.init(model), []
    for _ in range(steps):
        a = model.volume.coefficients
        model, state, _, metrics = step(model, state)
        free = update.variance > 0
        prior = -0.5 * jnp.sum(jnp.where(free, a**2 / jnp.where(free, update.variance, 1), 0))
        values.append(float(metrics["log_likelihood"] + prior))
        assert metrics["images"] == 60
    return model.volume.coefficients, values


@pytest.fixture(scope="module")
def end(ball, setting):
    em, start, *_ = setting
    return em.fit(ball, start, (Rise(2, 60),), NODES)


def test_without_momentum_whole_batches_end_where_em_does(seen, setting, end):
    _, _, update, model = setting
    steady = HyperMoleculeGradient(update.nodes, update.variance, images=60, momentum=0.0)
    _, values = after(steady, model, seen, 60)
    assert values[-1] == pytest.approx(float(end.objective[-1]), abs=0.1)


def test_ems_end_is_at_rest(seen, setting, end):
    _, _, update, model = setting
    there = eqx.tree_at(lambda m: m.volume.coefficients, model, end.coefficients)
    a, _ = after(update, there, seen, 10)
    moved = np.linalg.norm(a - end.coefficients) / np.linalg.norm(end.coefficients)
    assert moved < 1e-3


def test_a_variance_of_0_keeps_a_coefficient(seen, setting):
    _, start, update, model = setting
    pinned = update.variance.at[:, 2].set(0)
    a, _ = after(HyperMoleculeGradient(update.nodes, pinned, images=60), model, seen, 2)
    np.testing.assert_array_equal(a[:, 2], start[:, 2])
    assert (np.asarray(a[:, :2]) != np.asarray(start[:, :2])).all()


def test_rows_of_weight_0_say_nothing(seen, setting):
    _, _, update, model = setting
    step = eqx.filter_jit(lambda b: update.step(model, update.init(model), b, GRID, None))
    padded = eqx.tree_at(lambda b: b.weight, seen.batch, jnp.ones(60).at[40:].set(0))
    wrong = eqx.tree_at(lambda b: b.images, padded, padded.images.at[40:].multiply(9))
    for one, other in zip(
        jax.tree.leaves(step(padded)[0]), jax.tree.leaves(step(wrong)[0]), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_other_volumes_are_refused(setting):
    _, _, update, model = setting
    with pytest.raises(TypeError, match="needs a `HyperMolecule`"):
        update.init(eqx.tree_at(lambda m: m.volume, model, AsGiven()))
