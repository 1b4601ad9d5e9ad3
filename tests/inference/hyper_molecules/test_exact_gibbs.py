"""Gibbs draws of a small hyper-molecule against the closed forms that hold for known latents."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cryojax_het.inference.hyper_molecules.exact_em import ExactEM
from cryojax_het.inference.hyper_molecules.exact_gibbs import ExactGibbs
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes
from cryojax_het.volumes.latent_functions.interval import Legendre

from .small_world import BALL, GRID

DRAWS = 1500


@pytest.fixture(scope="module")
def drawn(ball):
    """One node: latents and contrasts are known."""
    functions, node = Legendre(1), jnp.array([[0.3]])
    variance = jnp.full((BALL.size, 2), 50.0).at[::4, 1].set(0)
    em = ExactEM(BALL, functions, variance, Contrast(jnp.asarray(1.1), jnp.asarray(0.0)))
    nodes = Nodes(node, jax.vmap(functions)(node))
    gibbs = ExactGibbs(em, nodes, jnp.asarray(3.0), GRID.size**2)
    run = eqx.filter_jit(lambda key: gibbs.run(key, ball, jnp.zeros_like(variance), DRAWS))
    return gibbs, run(jax.random.key(0))


def test_coefficients_given_the_noise(drawn, ball):
    """The noise hardly moves: its mean stands for it."""
    gibbs, draws = drawn
    v = float(draws.variance[100:].mean())
    assert float(draws.variance[100:].std()) < 0.05 * v
    count = len(ball.power)
    values = np.asarray(gibbs.nodes.values[0]) * 1.1
    own = np.asarray(gibbs.em.variance)
    for gram, right, rows in zip(ball.gram, ball.right, BALL.blocks(), strict=True):
        total, side = np.asarray(gram).sum(axis=0) / v, np.asarray(right).sum(axis=0) / v
        precision = np.einsum("p,q,kl->pkql", values, values, total).reshape(2 * len(rows), -1)
        prior = own[rows].T.ravel()
        free = prior > 0
        inverse = np.linalg.inv(precision[np.ix_(free, free)] + np.diag(1 / prior[free]))
        mean = inverse @ np.outer(values, side).ravel()[free]
        found = np.asarray(draws.coefficients[100:, rows])
        found = np.moveaxis(found, 2, 1).reshape(len(found), -1)
        assert not found[:, ~free].any()
        z = (found[:, free].mean(axis=0) - mean) / np.sqrt(np.diag(inverse) / len(found))
        assert np.abs(z).max() < 5
        ratio = found[:, free].var(axis=0) / np.diag(inverse)
        assert ratio.mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(draws.latents, 0.3)
    assert draws.latents.shape == (DRAWS, count, 1)


def test_noise_given_the_coefficients(drawn, ball):
    """Its inverse gamma, of the misfit at each draw: a uniform probability integral."""
    gibbs, draws = drawn
    weighted = 1.1 * gibbs.nodes.values[0]

    def misfit(a):
        found = ball.statistics([a[rows] for rows in BALL.blocks()])
        square = jnp.einsum("p,bpq,q->", weighted, found.gram, weighted)
        return found.power.sum() - 2 * jnp.sum(found.cross @ weighted) + square

    left = np.asarray(jax.lax.map(misfit, draws.coefficients))
    shape = 3.0 + 0.5 * GRID.size**2 * len(ball.power)
    uniform = stats.invgamma.cdf(np.asarray(draws.variance), shape, scale=3.0 + 0.5 * left)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
