"""The posterior of linear latents against dense linear algebra over pixels, and quadrature."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_triangular

from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference.posteriors.band_limited import BandLimited
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import linear_of

COUNT, SIGMA = 3, 0.3
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem(tiny):
    """Noisy images of a linear volume with two components, contrast 1.1; and dense operators."""
    v = tiny.volume.density(jnp.zeros(0), tiny.grid)
    volumes = jnp.stack([v, 0.3 * jnp.roll(v, 2, axis=0), 0.2 * jnp.roll(v, 3, axis=1)])
    volume = linear_of(volumes, tiny.grid.pixel_size, quadratic())
    batch = tiny.batch(COUNT)
    noise = WhiteNoise.per_pixel(
        SIGMA * jnp.abs(tiny.grid.to_image(batch.images[0])).max(), tiny.grid
    )
    latents = batch.latents
    z = jax.random.normal(KEY, (COUNT, 2))
    latents = Latents(z, latents.rotation, latents.shift, jnp.full(COUNT, 1.1))
    clean = jax.vmap(lambda l, o: render(volume, l, o, tiny.grid))(latents, batch.optics)
    keys = jax.random.split(KEY, COUNT)
    images = jax.vmap(lambda k, m: noise.sample(k, m, tiny.grid))(keys, clean)
    batch = eqx.tree_at(lambda b: (b.images, b.latents), batch, (images, latents))
    return volume, noise, batch, _dense(volume, batch, tiny.grid)


def _dense(volume, batch, grid):
    """Pixels of the images of mean and components at contrast 1, `[b, n², 3]`."""

    def one(latents, optics):
        def pixels(z):
            unit = Latents(z, latents.rotation, latents.shift, jnp.ones(()))
            return grid.to_image(render(volume, unit, optics, grid)).ravel()

        base = pixels(jnp.zeros(2))
        return jnp.stack([base, *(pixels(e) - base for e in jnp.eye(2))], axis=-1)

    return np.asarray(jax.vmap(one)(batch.latents, batch.optics))


def infer(tiny, problem, width):
    volume, noise, batch, _ = problem
    prior = LocalPrior(1.0, 1.0, 1.1, width)
    method = LinearGaussianPosterior()
    run = eqx.filter_jit(lambda b: method.infer(KEY, volume, noise, prior, b, tiny.grid))
    return run(batch)


def _gaussian(problem, grid, image, contrast):
    """Posterior and log density over no particle of one image by dense algebra over pixels."""
    _, noise, batch, dense = problem
    sigma2 = float(noise.power / grid.pixel_size**2)
    y = np.asarray(grid.to_image(batch.images[image])).ravel()
    mean, w = contrast * dense[image][:, 0], contrast * dense[image][:, 1:]
    covariance = np.linalg.inv(np.eye(2) + w.T @ w / sigma2)
    z = covariance @ w.T @ (y - mean) / sigma2
    factor = np.linalg.cholesky(sigma2 * np.eye(len(y)) + w @ w.T)
    white = solve_triangular(factor, y - mean, lower=True)
    marginal = -0.5 * white @ white - np.log(np.diag(factor)).sum()
    nothing = -0.5 * y @ y / sigma2 - 0.5 * len(y) * np.log(sigma2)
    return z, covariance, marginal - nothing


def test_at_a_known_contrast_as_dense_algebra(tiny, problem):
    found = infer(tiny, problem, 0.0)
    for image in range(COUNT):
        z, covariance, gain = _gaussian(problem, tiny.grid, image, 1.1)
        np.testing.assert_allclose(found.latents.conformation[image], z, rtol=1e-7)
        np.testing.assert_allclose(found.covariance[image], covariance, rtol=1e-6, atol=1e-12)
        np.testing.assert_allclose(found.log_likelihood[image], gain, rtol=1e-8)
        h = np.append(1.0, z)
        np.testing.assert_allclose(found.first[image], 1.1 * h, rtol=1e-7)
        second = np.outer(h, h)
        second[1:, 1:] += covariance
        np.testing.assert_allclose(found.second[image], 1.21 * second, rtol=1e-6, atol=1e-9)


def test_an_unknown_contrast_as_quadrature(tiny, problem):
    width = 0.15
    found = infer(tiny, problem, width)
    grid = np.linspace(1.1 - 6 * width, 1.1 + 6 * width, 81)
    prior = np.exp(-0.5 * ((grid - 1.1) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    for image in range(COUNT):
        parts = [_gaussian(problem, tiny.grid, image, c) for c in grid]
        z, covariance, gain = (np.stack(part) for part in zip(*parts, strict=True))
        top = gain.max()
        density = prior * np.exp(gain - top)
        total = np.sum(density) * (grid[1] - grid[0])
        weight = density / density.sum()
        mean = weight @ z
        second = np.einsum("j,ja,jb->ab", weight, z, z) + np.tensordot(weight, covariance, 1)
        expected = second - np.outer(mean, mean)
        np.testing.assert_allclose(found.latents.conformation[image], mean, atol=2e-3)
        np.testing.assert_allclose(found.latents.contrast[image], weight @ grid, atol=1e-3)
        np.testing.assert_allclose(found.covariance[image], expected, rtol=2e-2, atol=1e-5)
        np.testing.assert_allclose(found.log_likelihood[image], np.log(total) + top, atol=2e-2)
        np.testing.assert_allclose(found.second[image, 0, 0], weight @ grid**2, rtol=2e-3)


def test_other_images_are_rigid_without_components(tiny, problem):
    """The mean alone: the contrast's posterior is the closed form of `contrast_posterior`."""
    from cryojax_het.imaging.marginal import contrast_posterior

    volume, noise, batch, _ = problem
    belief = (jnp.asarray(1.1), jnp.asarray(0.15))
    method, prior = LinearGaussianPosterior(), LocalPrior(1.0, 1.0, *belief)
    found = method.infer(KEY, volume.mean, noise, prior, batch, tiny.grid)
    for image in range(COUNT):
        one = jax.tree.map(lambda x, i=image: x[i], (batch.latents, batch.optics))
        unit = Latents(jnp.zeros(0), one[0].rotation, one[0].shift, jnp.ones(()))
        mean = render(volume.mean, unit, one[1], tiny.grid)
        expected, variance = contrast_posterior(noise, batch.images[image], mean, belief, tiny.grid)
        np.testing.assert_allclose(found.latents.contrast[image], expected, rtol=1e-4)
        square = variance + expected**2
        np.testing.assert_allclose(found.second[image, 0, 0], square, rtol=2e-4)


def test_a_band_is_the_crop_of_the_images(tiny, problem):
    volume, noise, batch, _ = problem
    prior, size = LocalPrior(1.0, 1.0, 1.1, 0.1), 12
    run = lambda method, b, grid: method.infer(KEY, volume, noise, prior, b, grid)
    banded = run(BandLimited(LinearGaussianPosterior(), size), batch, tiny.grid)
    crop = jax.vmap(lambda image: tiny.grid.crop_transform(image, size))
    cropped = eqx.tree_at(lambda b: b.images, batch, crop(batch.images))
    plain = run(LinearGaussianPosterior(), cropped, tiny.grid.crop(size))
    np.testing.assert_allclose(banded.covariance, plain.covariance, rtol=1e-10)
    silent = run(BandLimited(LinearGaussianPosterior(), None, tiny.grid.size), batch, tiny.grid)
    np.testing.assert_allclose(silent.latents.conformation, 0, atol=1e-9)
    np.testing.assert_allclose(silent.covariance, np.broadcast_to(np.eye(2), (COUNT, 2, 2)))
