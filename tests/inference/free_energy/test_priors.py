"""Priors of profiles against quadrature, and coordinates against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from cryojax_het.inference.free_energy import priors


def test_random_walk_is_a_gamma_mixture_of_normal_walks():
    shape, rate = 1.3, 0.2
    prior = priors.RandomWalkPrior(shape, rate)
    profiles = np.random.default_rng(0).normal(size=(4, 5))

    def integrated(profile):
        steps = np.diff(profile)
        walk = lambda lam: np.prod(stats.norm.pdf(steps, scale=lam**-0.5))
        density = lambda lam: walk(lam) * stats.gamma.pdf(lam, shape, scale=1 / rate)
        return np.log(integrate.quad(density, 0, np.inf, epsabs=0, epsrel=1e-10)[0])

    expected = np.array([integrated(p) for p in profiles])
    got = np.array([prior.log_prob(jnp.asarray(p)) for p in profiles])
    np.testing.assert_allclose(got - got[0], expected - expected[0], atol=1e-7)


def test_coordinates_are_orthonormal_and_of_sum_zero():
    basis = np.stack([priors.profile_of(jnp.asarray(e)) for e in np.eye(6)])
    np.testing.assert_allclose(basis @ basis.T, np.eye(6), atol=1e-14)
    np.testing.assert_allclose(basis.sum(axis=1), 0, atol=1e-14)
    profile = jnp.asarray(np.random.default_rng(1).normal(size=7))
    back = priors.profile_of(priors.coordinates_of(profile))
    np.testing.assert_allclose(back, profile - profile.mean(), atol=1e-14)


def test_published_prior_stays_within_its_bound_by_a_map_of_known_determinant():
    prior = priors.PublishedPrior(3.0)
    for u in np.random.default_rng(2).normal(size=(5, 6)) * [[0.01], [1], [3], [10], [30]]:
        point = jnp.asarray(u)
        inside, log_det = prior.inside(point)
        assert np.abs(priors.profile_of(inside)).max() <= 3.0 + 1e-12
        if np.abs(u).max() < 20:
            jacobian = jax.jacfwd(lambda x: prior.inside(x)[0])(point)
            assert float(log_det) == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-7)


def test_dirichlet_prior_is_uniform_over_weights_times_the_determinant():
    counts = jnp.asarray([3.0, 1.0, 2.0, 5.0])
    prior = priors.DirichletPrior(counts, 1.7)

    def weights(coordinates):
        return jnp.exp(priors.log_weights(priors.profile_of(coordinates), counts))

    def expected(coordinates):
        w = weights(coordinates)
        slope = jax.jacfwd(lambda c: weights(c)[:-1])(coordinates)
        return stats.dirichlet([1.7] * 4).logpdf(np.asarray(w)) + np.linalg.slogdet(slope)[1]

    points = [jnp.asarray(c) for c in np.random.default_rng(3).normal(size=(4, 3))]
    got = np.array([prior.log_prob(priors.profile_of(c)) for c in points])
    known = np.array([expected(c) for c in points])
    np.testing.assert_allclose(got - got[0], known - known[0], atol=1e-10)


def test_weights_are_populations_over_counts():
    p, counts = np.array([0.5, 0.2, 0.3]), np.array([10.0, 1.0, 5.0])
    found = np.exp(priors.log_weights(jnp.asarray(-np.log(p)), jnp.asarray(counts)))
    np.testing.assert_allclose(found, (p / counts) / (p / counts).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("prior", "nodes", "message"),
    [
        (priors.PublishedPrior(), 5, "6 nodes or more"),
        (priors.RandomWalkPrior(), 1, "2 nodes or more"),
        (priors.DirichletPrior(jnp.ones(3)), 4, "4 positive numbers"),
        (priors.EntropicPrior(jnp.array([1.0, 0.0]), 1.0), 2, "positive numbers"),
    ],
)
def test_paths_that_a_prior_is_not_one_of(prior, nodes, message):
    with pytest.raises(ValueError, match=message):
        prior.check(nodes)
