"""Latents of a range as normal ones."""

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.normal_latents import example

VOLUME = example(jax.random.key(0), FourierGrid(12, 2.0))


def test_normal_latents_are_even_over_the_range():
    tau = VOLUME.within(jax.random.normal(jax.random.key(1), (20000, 1)))
    counts, _ = np.histogram(np.asarray(tau), bins=10, range=(-1, 1))
    assert counts.sum() == 20000
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_there_and_back():
    tau = jnp.linspace(-1, 1, 9)[:, None]
    np.testing.assert_allclose(VOLUME.within(VOLUME.normal(tau)), tau, atol=1e-12)
    assert np.isfinite(VOLUME.normal(tau)).all()
