"""Densities of latents by diffusion: flows of known densities, training, and MAP latents."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from cryojax_het.imaging.image import Latents
from cryojax_het.inference.latent_diffusion.diffusion import (
    AbstractDiffusion,
    least_level,
    level_at,
    mixing,
)
from cryojax_het.inference.latent_diffusion.fit_diffusion import Beliefs, Schedule, fit_diffusion
from cryojax_het.inference.latent_diffusion.latent_density import DiffusionPrior, LatentDensity
from cryojax_het.inference.latent_diffusion.map_latents import prior_draws, retold
from cryojax_het.inference.latent_diffusion.score_network import score_network
from cryojax_het.inference.prior import LocalPrior

SHARE = np.array([0.5, 0.3, 0.2])
PLACE = np.array([[-1.0, 0.2], [1.0, 0.9], [1.0, -1.85]])  # of mean 0
WIDTH = 0.25


class Blobs(AbstractDiffusion):
    """The exact noise predictor of three round normal blobs."""

    size: int = eqx.field(static=True, default=2)

    def noise(self, x, level):
        stay, noise = mixing(level)
        variance = (stay * WIDTH) ** 2 + noise**2
        away = x - stay * PLACE
        weight = jax.nn.softmax(jnp.log(SHARE) - 0.5 * jnp.sum(away**2, axis=1) / variance)
        return noise * (weight @ away) / variance


def log_density(x):
    """Of the blobs, blurred by the noise of the time that counts as 0."""
    stay, noise = (float(part) for part in mixing(least_level()))
    variance = (stay * WIDTH) ** 2 + noise**2
    square = cdist(x, stay * PLACE, "sqeuclidean") / variance
    return logsumexp(np.log(SHARE) - 0.5 * square, axis=1) - np.log(2 * np.pi * variance)


def drawn(count, seed):
    rng = np.random.default_rng(seed)
    return PLACE[rng.choice(3, count, p=SHARE)] + WIDTH * rng.normal(size=(count, 2))


def samples(density, seed, count):
    return np.asarray(
        jax.jit(jax.vmap(density.sample))(jax.random.split(jax.random.key(seed), count))
    )


def identity(diffusion):
    return LatentDensity(diffusion, jnp.zeros(2), jnp.eye(2))


@pytest.fixture(scope="module")
def fitted():
    means = drawn(4000, 1)
    beliefs = Beliefs(np.float32(means @ MIX.T + SHIFT), np.zeros((4000, 2, 2), np.float32))
    schedule = Schedule(steps=1200, batch=256, rate=2e-3, layers=(64, 2))
    return fit_diffusion(jax.random.key(0), beliefs, schedule)


MIX, SHIFT = np.array([[3.0, 0.0], [1.0, 0.2]]), np.array([5.0, -2.0])


def test_levels_follow_the_variance_preserving_process():
    times = np.linspace(0.01, 1, 7)
    spent = 0.1 * times + 0.5 * 19.9 * times**2
    stay, noise = mixing(level_at(jnp.asarray(times)))
    np.testing.assert_allclose(stay, np.exp(-spent / 2), rtol=1e-10)
    np.testing.assert_allclose(stay**2 + noise**2, 1, rtol=1e-12)


def test_density_of_a_known_flow_is_the_closed_form():
    x = drawn(50, 0)
    found = jax.jit(jax.vmap(identity(Blobs()).log_prob))(x)
    np.testing.assert_allclose(found, log_density(x), atol=2e-3)


def test_its_derivative_is_that_of_the_closed_form():
    x, step = drawn(6, 3), 1e-5
    found = jax.jit(jax.vmap(jax.grad(identity(Blobs()).log_prob)))(x)
    for axis in range(2):
        move = step * np.eye(2)[axis]
        slope = (log_density(x + move) - log_density(x - move)) / (2 * step)
        np.testing.assert_allclose(found[:, axis], slope, rtol=1e-5, atol=1e-5)


def test_draws_have_the_populations_and_widths_of_the_density():
    found = samples(Blobs(), 0, 4000)
    near = cdist(found, PLACE).argmin(axis=1)
    share = np.bincount(near, minlength=3) / len(found)
    np.testing.assert_allclose(share, SHARE, atol=3 * np.sqrt(0.25 / 4000))
    for number in range(3):
        np.testing.assert_allclose(found[near == number].std(axis=0), WIDTH, rtol=0.1)


def test_an_untrained_network_is_the_standard_normal_density():
    network = score_network(jax.random.key(0), 3, (16, 2), jnp.float64)
    density = LatentDensity(network, jnp.zeros(3), jnp.eye(3))
    x = np.random.default_rng(0).normal(size=(5, 3))
    normal = -0.5 * np.sum(x**2, axis=1) - 1.5 * np.log(2 * np.pi)
    found = jax.jit(jax.vmap(density.log_prob))(x)
    np.testing.assert_allclose(found, normal, atol=1e-3)
    prior = LocalPrior(angle=0.1, shift=2.0, contrast_mean=1.0, contrast_width=0.2)
    at = Latents(jnp.asarray(x[0]), jnp.eye(3), jnp.array([0.3, -1.0]), jnp.asarray(1.1))
    start = Latents(jnp.zeros(3), jnp.eye(3), jnp.zeros(2), jnp.asarray(1.0))
    whole = eqx.filter_jit(DiffusionPrior(prior, density).log_prob)(at, start)
    np.testing.assert_allclose(whole, prior.log_prob(at, start), atol=1e-3)


def test_training_finds_a_density_that_a_normal_one_is_not(fitted):
    assert fitted.held_out < 0.9 * fitted.normal
    truth = drawn(600, 9) @ MIX.T + SHIFT
    own = samples(fitted.density, 5, 600)
    base = eqx.tree_at(
        lambda d: d.diffusion, fitted.density, score_network(jax.random.key(0), 2, (64, 2))
    )
    normal = samples(base, 5, 600)
    assert two_sample(own, truth) > 0.05
    assert two_sample(normal, truth) < 0.01


def test_slopes_of_the_density_have_no_bias(fitted):
    """`E ∇log p = 0` over the density's own points: what would shift every most probable latent."""
    density = fitted.density
    truth = drawn(3000, 12) @ MIX.T + SHIFT
    slope = lambda z: density.diffusion.score(density.whitened(z), least_level())
    found = np.asarray(jax.jit(jax.vmap(slope))(truth))
    error = found.std(axis=0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0)) < 0.2 + 4 * error)


def two_sample(first, second, permutations=200):
    """p-value of the maximum mean discrepancy, a Gaussian kernel of the median distance."""
    both = np.concatenate([first, second])
    square = cdist(both, both, "sqeuclidean")
    kernel = np.exp(-square / np.median(square))
    sign = np.repeat([1.0, -1.0], [len(first), len(second)])
    rng = np.random.default_rng(0)
    signs = np.stack([sign, *(rng.permutation(sign) for _ in range(permutations))])
    values = np.einsum("pi,ij,pj->p", signs, kernel, signs)
    return float(np.mean(values[1:] >= values[0]))


def test_populations_are_those_of_the_images(fitted):
    own = samples(fitted.density, 6, 3000)
    back = np.linalg.solve(MIX, (own - SHIFT).T).T
    share = np.bincount(cdist(back, PLACE).argmin(axis=1), minlength=3) / len(own)
    np.testing.assert_allclose(share, SHARE, atol=0.04)


@pytest.mark.parametrize("width", [0.2, 0.6])
def test_latents_under_the_new_prior_are_those_of_a_grid(width):
    axis = np.linspace(-3, 3, 301)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    density = identity(Blobs())
    draws = prior_draws(density, jax.random.key(1), 4000)
    covariance = width**2 * np.array([[1.0, 0.3], [0.3, 0.5]])
    inverse = np.linalg.inv(covariance)
    for mean in np.array([[-0.3, 0.2], [0.2, 0.1], [0.7, 0.0]]):
        told = grid @ inverse @ mean - 0.5 * np.einsum(
            "ni,ij,nj->n", grid, inverse - np.eye(2), grid
        )
        value = told + log_density(grid)
        found = eqx.filter_jit(retold)(density, draws, jnp.asarray(mean), jnp.asarray(covariance))
        np.testing.assert_allclose(found.most_probable, grid[value.argmax()], atol=0.03)
        weight = np.exp(value - logsumexp(value))
        middle = weight @ grid
        spread = np.einsum("n,ni,nj->ij", weight, grid - middle, grid - middle)
        error = np.sqrt(np.diag(spread) / found.effective)  # of a mean over so many draws
        assert np.all(np.abs(found.mean - middle) < 4 * error)
        assert width < 0.5 or found.effective > 100


def test_too_few_images_and_missing_latents_are_refused():
    few = Beliefs(np.zeros((5, 2), np.float32), np.zeros((5, 2, 2), np.float32))
    with pytest.raises(ValueError, match="20 images"):
        fit_diffusion(jax.random.key(0), few)
    missing = Beliefs(np.full((30, 2), np.nan, np.float32), np.zeros((30, 2, 2), np.float32))
    with pytest.raises(ValueError, match="finite"):
        fit_diffusion(jax.random.key(0), missing)
