"""Beliefs on nodes against densities of images themselves, and contrast against quadrature."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from cryojax_het.inference.hyper_molecules.nodes import (
    Contrast,
    Nodes,
    belief_on_nodes,
    latent_moments,
)
from cryojax_het.inference.linear_statistics import LinearStatistics
from cryojax_het.volumes.latent_functions.circle import FourierSeries
from cryojax_het.volumes.latent_functions.interval import Legendre

PIXELS, IMAGES = 40, 5
FUNCTIONS = Legendre(2)
NODES = Nodes.over(FUNCTIONS, 9)


@pytest.fixture(scope="module")
def linear():
    """`X_i` `[i, pixels, functions]` and whitened images `y_i = c T·X + noise`."""
    rng = np.random.default_rng(0)
    planes = 0.3 * rng.normal(size=(IMAGES, PIXELS, FUNCTIONS.count))
    values = np.asarray(jax.vmap(FUNCTIONS)(jnp.asarray(rng.uniform(-1, 1, (IMAGES, 1)))))
    images = np.einsum("ipk,ik->ip", planes, values) + rng.normal(size=(IMAGES, PIXELS))
    return planes, images


def statistics(planes, images):
    gram = np.einsum("ipk,ipl->ikl", planes, planes)
    cross = np.einsum("ipk,ip->ik", planes, images)
    return LinearStatistics(*(jnp.asarray(x) for x in (gram, cross, np.sum(images**2, axis=1))))


def by_force(planes, images, contrasts, weights):
    """`log p(y | τ) - log p(y | 0)` `[i, g]`, and moments of `c` in the belief, by a sum over
    contrasts."""
    clean = np.einsum("ipk,gk->igp", planes, np.asarray(NODES.values))
    misfit = images[:, None, None] - contrasts[:, None] * clean[:, :, None]
    log = 0.5 * np.sum(images**2, axis=1)[:, None, None] - 0.5 * np.sum(misfit**2, axis=-1)
    log = log + np.log(weights)
    gain = logsumexp(log, axis=2)
    joint = np.exp(log - logsumexp(log, axis=(1, 2), keepdims=True))  # over nodes and contrasts
    return gain, joint


def assert_belief(belief, gain, joint, contrasts):
    total = logsumexp(gain, axis=1)
    np.testing.assert_allclose(belief.log_weight, gain - total[:, None], atol=1e-9)
    np.testing.assert_allclose(belief.log_likelihood, total - np.log(gain.shape[1]), atol=1e-9)
    values = np.asarray(NODES.values)
    first = np.einsum("igc,c,gk->ik", joint, contrasts, values)
    second = np.einsum("igc,c,gk,gl->ikl", joint, contrasts**2, values, values)
    np.testing.assert_allclose(belief.first, first, atol=1e-9)
    np.testing.assert_allclose(belief.second, second, atol=1e-9)
    np.testing.assert_allclose(belief.contrast, np.einsum("igc,c->i", joint, contrasts), atol=1e-9)


def test_a_known_contrast_against_every_density(linear):
    known = Contrast(jnp.asarray(0.9), jnp.zeros(()))
    belief = jax.jit(belief_on_nodes)(statistics(*linear), NODES, known)
    contrasts = np.array([0.9])
    assert_belief(belief, *by_force(*linear, contrasts, np.ones(1)), contrasts)


def test_a_normal_contrast_against_quadrature(linear):
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    contrasts, weights = 1.1 + 0.3 * nodes, weights / weights.sum()
    spread = Contrast(jnp.asarray(1.1), jnp.asarray(0.3))
    belief = jax.jit(belief_on_nodes)(statistics(*linear), NODES, spread)
    assert_belief(belief, *by_force(*linear, contrasts, weights), contrasts)


def test_moments_on_an_interval_are_those_of_weighted_nodes(linear):
    known = Contrast(jnp.ones(()), jnp.zeros(()))
    belief = jax.jit(belief_on_nodes)(statistics(*linear), NODES, known)
    mean, covariance = eqx.filter_jit(latent_moments)(belief, NODES, FUNCTIONS)
    weight, at = np.exp(belief.log_weight), np.asarray(NODES.latents)[:, 0]
    np.testing.assert_allclose(mean[:, 0], weight @ at, atol=1e-12)
    spread = weight @ at**2 - (weight @ at) ** 2
    np.testing.assert_allclose(covariance[:, 0, 0], spread, atol=1e-12)


def test_a_mean_across_the_cut_of_a_circle():
    circle = FourierSeries(1)
    nodes = Nodes.over(circle, 8)
    none = LinearStatistics(jnp.zeros((1, 3, 3)), jnp.zeros((1, 3)), jnp.zeros(1))
    even = jax.jit(belief_on_nodes)(none, nodes, Contrast(jnp.ones(()), jnp.zeros(())))
    weight = jnp.where(jnp.abs(nodes.latents[:, 0]) > 0.8, jnp.log(0.5), -1e3)  # at -7/8 and 7/8
    split = eqx.tree_at(lambda b: b.log_weight, even, weight[None])
    mean, covariance = eqx.filter_jit(latent_moments)(split, nodes, circle)
    assert abs(float(mean[0, 0])) == pytest.approx(1)
    assert float(covariance[0, 0, 0]) == pytest.approx((1 / 8) ** 2)
