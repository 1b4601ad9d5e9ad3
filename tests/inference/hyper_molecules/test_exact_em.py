"""EM's steps against dense least squares, its climb, and what it finds on images of its kind."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from cryojax_het.inference.hyper_molecules.coefficient_prior import prior_variance
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM, Rise
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes, latent_moments
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.latent_functions.side_by_side import SideBySide

from .small_world import BALL, TWO

KNOWN = Contrast(jnp.ones(()), jnp.zeros(()))
FUNCTIONS = Legendre(2)


@pytest.fixture(scope="module")
def em(ball):
    rng = np.random.default_rng(2)
    return ExactEM(BALL, FUNCTIONS, jnp.asarray(rng.uniform(0.5, 2, (BALL.size, 3))), KNOWN)


def solved_dense(equations, em, first, second):
    """`[k, p]` from one system of all coefficients; those without variance left out."""
    size, count = em.variance.shape
    gram, right = np.zeros((len(first), size, size)), np.zeros((len(first), size))
    for rows, g, r in zip(em.basis.blocks(), equations.gram, equations.right, strict=True):
        gram[:, rows[:, None], rows], right[:, rows] = g, r
    system = np.einsum("bpq,bkl->kplq", second, gram).reshape(size * count, -1)
    side = np.einsum("bp,bk->kp", first, right).ravel()
    variance = np.asarray(em.variance).ravel()
    free = np.flatnonzero(variance > 0)
    found = np.zeros(size * count)
    kept = system[np.ix_(free, free)] + np.diag(1 / variance[free])
    found[free] = np.linalg.solve(kept, side[free])
    return found.reshape(size, count)


def moments(count, size):
    rng = np.random.default_rng(3)
    first, rest = rng.normal(size=(count, size)), rng.normal(size=(count, size, size))
    return first, first[:, :, None] * first[:, None] + rest @ rest.transpose(0, 2, 1)


def test_an_m_step_is_dense_least_squares(ball, em):
    first, second = moments(60, 3)
    found = eqx.filter_jit(em.coefficients)(ball, (jnp.asarray(first), jnp.asarray(second)))
    expected = solved_dense(ball, em, first, second)
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())


def test_an_m_step_of_regions_leaves_out_other_regions_latents(two):
    functions = SideBySide((Legendre(1), Legendre(1)))
    own = jnp.asarray(TWO.region_of_each()[:, None] == functions.axis_of_each(), float)
    em = ExactEM(TWO, functions, 0.7 * own, KNOWN)
    first, second = moments(60, 4)
    found = eqx.filter_jit(em.coefficients)(two, (jnp.asarray(first), jnp.asarray(second)))
    expected = solved_dense(two, em, first, second)
    assert not np.asarray(found)[np.asarray(own) == 0].any()
    np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())


def test_the_objective_only_rises(ball, em):
    start = em.random_start(jax.random.key(1), ball)
    spread = Contrast(jnp.ones(()), jnp.array(0.2))
    for method in (em, eqx.tree_at(lambda e: e.contrast, em, spread)):
        trace = method.fit(ball, start, (Rise(2, 12),), nodes=11).objective
        assert (np.diff(trace) > -1e-8 * np.abs(trace[1:])).all()
        assert trace[-1] > trace[0] + 1


def test_the_objective_is_the_likelihood_of_nodes_and_the_prior(ball, em):
    a = em.random_start(jax.random.key(2), ball)
    nodes = Nodes.over(FUNCTIONS, 11)
    belief = eqx.filter_jit(em.belief)(ball, a, nodes)
    trace = em.fit(ball, a, (Rise(2, 1),), nodes=11).objective
    expected = belief.log_likelihood.sum() - 0.5 * jnp.sum(a**2 / em.variance)
    # A start of order 1: no function of the second has a coefficient yet.
    assert float(trace[0]) == pytest.approx(float(expected), rel=1e-10)


def test_latents_and_molecule_are_found(seen, ball, em):
    """From a random start, as from the true latents; up to the direction of the latent."""
    flat = ExactEM(BALL, Legendre(0), jnp.full((BALL.size, 1), 1e6), KNOWN)
    consensus = flat.from_latents(ball, jnp.zeros((60, 1)))[:, 0]
    em = eqx.tree_at(lambda e: e.variance, em, 4 * prior_variance(BALL, consensus, FUNCTIONS))
    truth = seen.batch.latents.conformation
    told = em.fit(ball, em.from_latents(ball, truth), (Rise(2, 20),), 11)
    starts = [em.random_start(jax.random.key(seed), ball) for seed in range(3)]
    found = [em.fit(ball, s, (Rise(1, 15), Rise(2, 15)), 11) for s in starts]
    best = max(found, key=lambda f: f.objective[-1])
    rho = []
    for fitted in (told, best):
        mean, _ = latent_moments(fitted.belief, fitted.nodes, FUNCTIONS)
        rho.append(abs(spearmanr(mean[:, 0], truth[:, 0]).statistic))
    assert rho[0] > 0.9
    assert rho[1] > rho[0] - 0.03


def test_prior_variances_follow_power_and_order():
    consensus = jnp.asarray(np.random.default_rng(0).normal(size=BALL.size))
    variance = np.asarray(prior_variance(BALL, consensus, Legendre(3)))
    decay = variance / variance[:, :1]
    np.testing.assert_allclose(decay, np.broadcast_to([1, 2**-4, 3**-4, 4**-4], decay.shape))
    doubled = np.asarray(prior_variance(BALL, 2 * consensus, Legendre(3)))
    np.testing.assert_allclose(doubled, 4 * variance)
    assert (variance > 0).all()
