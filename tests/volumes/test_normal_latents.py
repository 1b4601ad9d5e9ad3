"""Latents of a range as normal ones."""

import jax
import numpy as np

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.normal_latents import example


def test_normal_latents_are_even_over_the_range():
    volume = example(jax.random.key(0), FourierGrid(12, 2.0))
    tau = volume.within(jax.random.normal(jax.random.key(1), (20, 1000, 1)))
    assert tau.shape == (20, 1000, 1)
    counts, _ = np.histogram(np.asarray(tau), bins=10, range=(-1, 1))
    assert counts.sum() == 20_000
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)
