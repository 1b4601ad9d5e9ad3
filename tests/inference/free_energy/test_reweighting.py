"""Expectation-maximisation: monotone, and where a general optimiser ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from cryojax_het.inference.free_energy import reweighting


@pytest.fixture(scope="module")
def ell():
    """400 images of five nodes on a line, a spacing of one deviation apart."""
    rng = np.random.default_rng(0)
    node = rng.choice(5, 400, p=[0.1, 0.35, 0.05, 0.3, 0.2])
    seen = node + rng.normal(size=400)
    return -0.5 * (seen[:, None] - np.arange(5)) ** 2 + 50 * rng.normal(size=(400, 1))


def objective(p, ell, reference=None, strength=0.0):
    value = logsumexp(ell + np.log(p), axis=1).mean()
    return value - (strength * (p * np.log(p / reference)).sum() if strength else 0.0)


def optimum(ell, reference=None, strength=0.0):
    """By quasi-Newton over logits."""
    loss = lambda x: -objective(np.exp(log_softmax(x)), ell, reference, strength)
    found = minimize(loss, np.zeros(ell.shape[1]), method="BFGS", options={"gtol": 1e-9})
    return np.exp(log_softmax(found.x))


def test_likeliest_populations(ell):
    start = jnp.full(5, 0.2)
    got = np.asarray(reweighting.expectation_maximisation(jnp.asarray(ell), start))
    best = optimum(ell)
    np.testing.assert_allclose(got, best, atol=2e-4)
    assert objective(got, ell) == pytest.approx(objective(best, ell), abs=1e-6)


@pytest.mark.parametrize("strength", [0.001, 0.05, 1.0, 30.0])
def test_entropic_populations(ell, strength):
    reference = np.array([0.3, 0.1, 0.2, 0.1, 0.3])
    got = reweighting.entropic_populations(
        jnp.asarray(ell), jnp.asarray(reference), jnp.asarray(strength), jnp.ones(400)
    )
    best = optimum(ell, reference, strength)
    np.testing.assert_allclose(got, best, atol=2e-4)


def test_no_step_lowers_the_objective(ell):
    reference = jnp.asarray([0.3, 0.1, 0.2, 0.1, 0.3])
    ratio = np.exp(ell - logsumexp(ell, axis=1, keepdims=True))
    advance = jax.jit(reweighting.entropic_step)
    for strength in (1e-4, 0.1):
        p, values = np.array([0.9, 0.025, 0.025, 0.025, 0.025]), []
        for _ in range(60):
            values.append(objective(p, ell, np.asarray(reference), strength))
            share = (ratio * p / (ratio @ p)[:, None]).mean(axis=0)
            p = np.asarray(advance(jnp.asarray(share), reference, jnp.asarray(strength)))
        assert np.diff(values).min() > -1e-12


def test_an_entropic_step_solves_its_equation_with_empty_structures():
    share, reference = jnp.array([0.6, 0.4, 0.0]), jnp.array([0.2, 0.3, 0.5])
    x = np.asarray(reweighting.entropic_step(share, reference, jnp.asarray(0.7)))
    slope = share / x - 0.7 * np.log(x / reference)
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)
    assert x.sum() == pytest.approx(1)


def test_strengths_are_scored_by_images_held_out(ell):
    reference, strengths = np.full(5, 0.2), np.array([1e-3, 0.1, 10.0])
    found = reweighting.cross_validated(ell, reference, strengths, folds=2, seed=4)
    fold = np.random.default_rng(4).permutation(400) % 2
    scores = np.zeros((3, 400))
    for number in range(2):
        for row, strength in enumerate(strengths):
            p = optimum(ell[fold != number], reference, strength)
            scores[row, fold == number] = logsumexp(ell + np.log(p), axis=1)[fold == number]
    scores = scores.mean(axis=1)
    np.testing.assert_allclose(np.diff(found.held_out), np.diff(scores), atol=1e-5)
    assert found.strength == strengths[scores.argmax()]
    np.testing.assert_allclose(found.population, optimum(ell, reference, found.strength), atol=2e-4)


def test_few_images_of_many_structures_are_better_told_near_the_simulation():
    rng = np.random.default_rng(5)
    p = np.exp(-((np.arange(20) - 9.0) ** 2) / 60)
    seen = rng.choice(20, 100, p=p / p.sum()) + 3 * rng.normal(size=100)
    ell, even = -((seen[:, None] - np.arange(20)) ** 2) / 18, np.full(20, 1 / 20)
    found = reweighting.cross_validated(ell, even, np.array([0.03, 0.3, 100.0]))
    likeliest = reweighting.expectation_maximisation(jnp.asarray(ell), jnp.asarray(even))
    error = lambda q: np.abs(np.asarray(q) - p / p.sum()).sum()
    assert error(found.population) < min(error(likeliest), error(even))


def test_faults():
    ell = np.zeros((3, 2))
    with pytest.raises(ValueError, match="folds"):
        reweighting.cross_validated(ell, np.ones(2), np.array([1.0]))
    with pytest.raises(ValueError, match="strengths"):
        reweighting.cross_validated(ell, np.ones(2), np.array([0.0]), folds=2)


def test_histogram_and_entropy():
    ell = np.log(np.array([[0.5, 0.5, 0.0], [0.0, 0.1, 0.9]]) + 1e-300)
    np.testing.assert_allclose(reweighting.hard_assignment(ell), [0.5, 0.0, 0.5])
    entropy = reweighting.node_entropy(ell, np.full(3, 1 / 3))
    expected = [np.log(2), -(0.1 * np.log(0.1) + 0.9 * np.log(0.9))]
    np.testing.assert_allclose(entropy, expected, atol=1e-12)
