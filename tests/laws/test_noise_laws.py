"""What every noise obeys: its density is that of its own samples."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import (
    AbstractGaussianNoise,
    AbstractNoise,
    ColouredNoise,
    WhiteNoise,
)

GRID = FourierGrid(16, 1.3)
COUNT = 4000

# One of each concrete noise, of two optics groups where it has groups.
EXAMPLES = {
    WhiteNoise: WhiteNoise(jnp.asarray(2.5)),
    ColouredNoise: ColouredNoise(jnp.stack([jnp.linspace(4.0, 0.5, 9), jnp.linspace(1.0, 3.0, 9)])),
}


def _concrete(base):
    for kind in base.__subclasses__():
        if not inspect.isabstract(kind):
            yield kind
        yield from _concrete(kind)


def test_every_noise_has_an_example():
    assert set(_concrete(AbstractNoise)) == set(EXAMPLES)


@pytest.fixture(params=EXAMPLES.values(), ids=[kind.__name__ for kind in EXAMPLES])
def noise(request):
    return request.param.of_group(jnp.asarray(1))


def mean_image():
    y, x = np.indices((16, 16)) - 8
    return GRID.from_image(jnp.asarray(3 * np.exp(-(x**2 + (y - 1.0) ** 2) / 6)))


@eqx.filter_jit
def samples(noise, mean):
    draw = lambda key: noise.sample(key, mean, GRID)
    return jax.vmap(draw)(jax.random.split(jax.random.key(0), COUNT))


def each(function, images):
    return np.asarray(eqx.filter_jit(jax.vmap(function))(images))


def test_score_of_the_mean_is_that_of_the_samples(noise):
    """`E ∂ log p = 0` and `Var ∂ log p = -E ∂² log p` along any direction of the mean."""
    mean = mean_image()
    direction = GRID.from_image(jax.random.normal(jax.random.key(1), (16, 16)))
    direction = 0.1 * jnp.where(jnp.asarray(GRID.inside()), direction, 0)
    images = samples(noise, mean)
    along = lambda image: lambda step: noise.log_prob(image, mean + step * direction, GRID)
    score = each(lambda image: jax.grad(along(image))(0.0), images)
    curvature = each(lambda image: jax.grad(jax.grad(along(image)))(0.0), images)
    assert abs(score.mean()) < 4 * score.std() / np.sqrt(COUNT)
    assert score.var() / -curvature.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / COUNT))


def test_score_of_the_parameters_is_zero_on_average(noise):
    """Only a density with the right norm has `E ∂ log p / ∂ log parameter = 0`."""
    mean = mean_image()

    def along(image):
        scaled = lambda s: jax.tree.map(lambda leaf: leaf * jnp.exp(s), noise)
        return jax.grad(lambda s: scaled(s).log_prob(image, mean, GRID))(0.0)

    score = each(along, samples(noise, mean))
    assert abs(score.mean()) < 4 * score.std() / np.sqrt(COUNT)
    # Each real degree of freedom carries an information of ½ about the logarithm of its variance.
    freedom = float(jnp.sum(jnp.where(noise.precision(GRID) > 0, GRID.weights(), 0)))
    assert score.var() / (freedom / 2) == pytest.approx(1, abs=5 * np.sqrt(2 / COUNT) * 1.2)


def test_samples_are_independent(noise):
    mean = mean_image()
    draw = lambda key: GRID.to_image(noise.sample(key, mean, GRID) - mean)
    images = each(draw, jax.random.split(jax.random.key(7), 400))
    again = draw(jax.random.split(jax.random.key(7), 400)[3])
    np.testing.assert_allclose(again, images[3], atol=1e-10)
    power = (images[1:] ** 2).sum()
    between = (images[1:] * images[:-1]).sum() / power
    opposite = (images[:, 1:, 1:] * images[:, :0:-1, :0:-1]).sum() / (images[:, 1:, 1:] ** 2).sum()
    # Pixels of coloured noise are correlated: fewer than 256 a picture are independent.
    assert abs(between) < 5 * np.sqrt(2 / images.size)
    assert abs(opposite) < 5 * np.sqrt(4 / images.size)


def test_samples_scatter_about_the_mean(noise):
    mean = mean_image()
    images = np.asarray(samples(noise, mean))
    deviation = np.sqrt(np.asarray(noise.variance(GRID)) / COUNT)
    assert (np.abs(images.mean(axis=0) - mean) < 6 * deviation).all()
    variance = (np.abs(images - mean) ** 2).mean(axis=0)
    np.testing.assert_allclose(variance / noise.variance(GRID), 1, atol=6 * np.sqrt(2 / COUNT))


gaussian = pytest.mark.parametrize(
    "noise",
    [
        pytest.param(n, id=k.__name__)
        for k, n in EXAMPLES.items()
        if issubclass(k, AbstractGaussianNoise)
    ],
    indirect=False,
)


@gaussian
def test_whitened_length_is_the_misfit(noise):
    noise = noise.of_group(jnp.asarray(1))
    mean = mean_image()
    image = noise.sample(jax.random.key(3), 1.1 * mean, GRID)
    white = np.asarray(noise.whiten(image - mean, GRID))
    assert white.ndim == 1
    assert np.isrealobj(white)
    weighted = np.asarray(noise.precision(GRID)) * np.abs(np.asarray(image - mean)) ** 2
    assert (white**2).sum() == pytest.approx(weighted.sum(), rel=1e-12)
    drop = noise.log_prob(mean, mean, GRID) - noise.log_prob(image, mean, GRID)
    assert (white**2).sum() == pytest.approx(2 * float(drop), rel=1e-10)


@gaussian
def test_whitened_noise_has_unit_variance_per_degree_of_freedom(noise):
    noise = noise.of_group(jnp.asarray(0))
    mean = mean_image()
    squares = each(lambda image: noise.whiten(image - mean, GRID) ** 2, samples(noise, mean))
    freedom = float(jnp.sum(jnp.where(noise.precision(GRID) > 0, GRID.weights(), 0)))
    assert squares.sum(axis=1).mean() == pytest.approx(
        freedom, abs=5 * np.sqrt(2 * freedom / COUNT)
    )


@gaussian
def test_groups_are_picked_per_image(noise):
    groups, mean = jnp.array([0, 1, 1, 0]), mean_image()
    images = jnp.stack([1.2 * mean] * 4)
    together = jax.vmap(lambda g, image: noise.of_group(g).log_prob(image, mean, GRID))(
        groups, images
    )
    for group, value in zip([0, 1, 1, 0], together, strict=True):
        one = noise.of_group(jnp.asarray(group)).log_prob(images[0], mean, GRID)
        assert float(value) == pytest.approx(float(one), rel=1e-12)


def test_single_precision_stays(noise):
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), noise)
    grid = FourierGrid(16, jnp.float32(1.3))
    mean = mean_image().astype(jnp.complex64)
    image = single.sample(jax.random.key(0), mean, grid)
    assert image.dtype == jnp.complex64
    assert single.log_prob(image, mean, grid).dtype == jnp.float32
