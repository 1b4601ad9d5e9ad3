"""Kinds of belief against scipy and against their own draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import Latents
from cryojax_het.inference.posterior import Draws, Gaussian, Hypotheses, Point


def latents(*batch, conformation=2):
    keys = jax.random.split(jax.random.key(0), 4)
    normal = lambda key, *shape: jax.random.normal(key, (*batch, *shape))
    return Latents(
        normal(keys[0], conformation), normal(keys[1], 3, 3), normal(keys[2], 2), normal(keys[3])
    )


def test_a_point_is_its_value():
    point = Point(latents(4))
    for value in (point.mean(), point.sample(jax.random.key(1))):
        jax.tree.map(np.testing.assert_array_equal, value, latents(4))
    np.testing.assert_array_equal(point.log_prob(), np.zeros(4))


@pytest.fixture(scope="module")
def gaussian():
    factor = jax.random.normal(jax.random.key(5), (4, 2, 2))
    return Gaussian(latents(4), factor @ factor.mT + 0.1 * jnp.eye(2))


def test_gaussian_density_is_scipys(gaussian):
    at = gaussian.latents.conformation + 0.3
    for i, value in enumerate(gaussian.log_prob(at)):
        own = stats.multivariate_normal(
            np.asarray(gaussian.latents.conformation[i]), np.asarray(gaussian.covariance[i])
        )
        assert value == pytest.approx(own.logpdf(np.asarray(at[i])), rel=1e-9)


def test_gaussian_draws_have_its_moments_and_leave_the_rest(gaussian):
    keys = jax.random.split(jax.random.key(2), 20_000)
    draws = jax.jit(jax.vmap(gaussian.sample))(keys)
    mean = gaussian.mean()
    np.testing.assert_allclose(draws.conformation.mean(0), mean.conformation, atol=0.06)
    for i in range(4):
        found = np.cov(np.asarray(draws.conformation[:, i]).T)
        np.testing.assert_allclose(found, gaussian.covariance[i], rtol=0.05, atol=0.05)
    np.testing.assert_array_equal(draws.shift[0], mean.shift)


@pytest.fixture(scope="module")
def hypotheses():
    weight = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]])
    return Hypotheses(latents(2, 3), jnp.log(jnp.asarray(weight)))


def test_hypotheses_mean_is_the_most_probable(hypotheses):
    mean = hypotheses.mean()
    np.testing.assert_array_equal(mean.rotation[0], hypotheses.latents.rotation[0, 1])
    np.testing.assert_array_equal(mean.contrast[1], hypotheses.latents.contrast[1, 0])


def test_hypotheses_are_drawn_by_weight_and_whole(hypotheses):
    draws = jax.jit(jax.vmap(hypotheses.sample))(jax.random.split(jax.random.key(3), 20_000))
    for image in range(2):
        for h in range(3):
            same = draws.contrast[:, image] == hypotheses.latents.contrast[image, h]
            wanted = np.exp(hypotheses.log_prob()[image, h])
            assert np.mean(same) == pytest.approx(wanted, abs=0.02)
            shift = hypotheses.latents.shift[image, h]
            np.testing.assert_array_equal(draws.shift[same, image] - shift, 0)


def test_draws_have_the_mean_of_all_and_rotations_the_nearest_to_all():
    """Of rotations about a common axis, by angles that lie evenly about one, that one."""
    given = latents(2, 5)
    centre, axis = jnp.array([0.4, -0.2, 1.1]), jnp.array([0.6, 0.0, 0.8])
    turns = jnp.array([-0.5, -0.2, 0.0, 0.2, 0.5])[:, None] * axis
    turned = jax.vmap(so3.exp)(turns) @ so3.exp(centre)
    belief = Draws(
        Latents(given.conformation, jnp.stack([turned, turned]), given.shift, given.contrast)
    )
    mean = belief.mean()
    np.testing.assert_allclose(mean.shift, given.shift.mean(axis=1))
    np.testing.assert_allclose(so3.log(mean.rotation[1]), centre, atol=1e-9)
    first, covariance = belief.moments()
    np.testing.assert_allclose(first, mean.conformation)
    for i in range(2):
        expected = np.cov(np.asarray(given.conformation[i]).T, bias=True)
        np.testing.assert_allclose(covariance[i], expected, atol=1e-12)
    np.testing.assert_allclose(np.exp(belief.log_prob()).sum(axis=1), 1)


def test_draws_are_drawn_evenly_and_whole():
    belief = Draws(latents(2, 5))
    drawn = jax.jit(jax.vmap(belief.sample))(jax.random.split(jax.random.key(3), 10_000))
    for s in range(5):
        same = drawn.contrast[:, 1] == belief.latents.contrast[1, s]
        assert np.mean(same) == pytest.approx(0.2, abs=0.02)
        np.testing.assert_array_equal(drawn.shift[same, 1] - belief.latents.shift[1, s], 0)
