"""The contrast in closed form against numerical integration."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.posteriors.contrast import ContrastMean
from cryojax_het.inference.prior import LocalPrior

PRIOR = LocalPrior(0.03, 2.0, 1.0, 0.3)
POWER = jnp.stack([jnp.linspace(60.0, 20.0, 9), jnp.linspace(5.0, 15.0, 9)])
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def batch(tiny):
    return tiny.batch(6, noise=ColouredNoise(POWER))


@pytest.fixture(scope="module")
def inferred(tiny, batch):
    # The contrast that a batch comes with must not matter.
    given = eqx.tree_at(lambda b: b.latents.contrast, batch, jnp.full(6, 7.0))
    noise = ColouredNoise(POWER)
    return ContrastMean().infer(KEY, tiny.volume, noise, PRIOR, given, tiny.grid).mean()


def test_it_is_the_mean_of_the_posterior_by_quadrature(tiny, batch, inferred):
    for i in range(6):
        latents, optics = jax.tree.map(lambda x: x[i], (batch.latents, batch.optics))  # noqa: B023
        unit = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones(()))
        mean = render(tiny.volume, unit, optics, tiny.grid)
        noise = ColouredNoise(POWER[i % 2])

        @jax.jit
        @jax.vmap
        def log_posterior(s, i=i, mean=mean, noise=noise):
            misfit = noise.log_prob(batch.images[i], s * mean, tiny.grid)
            return misfit - 0.5 * ((s - 1.0) / 0.3) ** 2

        s = np.linspace(-1, 3, 4001)
        density = np.asarray(log_posterior(s))
        density = np.exp(density - density.max())
        expected = integrate.simpson(density * s, x=s) / integrate.simpson(density, x=s)
        assert inferred.contrast[i] == pytest.approx(expected, abs=1e-6)


def test_the_pose_is_left_alone(batch, inferred):
    np.testing.assert_array_equal(inferred.rotation, batch.latents.rotation)
    np.testing.assert_array_equal(inferred.shift, batch.latents.shift)


def test_without_noise_the_true_contrast_comes_back(tiny):
    batch = tiny.batch(6)
    noise = ColouredNoise(POWER * 1e-8)
    found = ContrastMean().infer(KEY, tiny.volume, noise, PRIOR, batch, tiny.grid).mean()
    np.testing.assert_allclose(found.contrast, batch.latents.contrast, rtol=1e-6)
