"""The prior of mode amplitudes against SciPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import Latents
from cryojax_het.inference.mode_prior import ModePrior, thermal_widths
from cryojax_het.inference.prior import LocalPrior


def test_amplitudes_have_their_own_widths():
    widths = np.array([4.0, 2.0])
    prior = ModePrior(jnp.asarray(widths), LocalPrior(0.05, 1.5, 1.0, 0.2))
    turn, shift = np.array([0.02, -0.03, 0.01]), np.array([0.5, -1.0])
    start = Latents(jnp.zeros(2), jnp.eye(3), jnp.array([1.0, 2.0]), jnp.ones(()))
    latents = Latents(
        jnp.array([3.0, -1.0]),
        so3.exp(jnp.asarray(turn)),
        start.shift + jnp.asarray(shift),
        jnp.asarray(1.1),
    )
    expected = (
        norm.logpdf([3.0, -1.0], scale=widths).sum()
        + norm.logpdf(turn, scale=0.05).sum()
        + norm.logpdf(shift, scale=1.5).sum()
        + norm.logpdf(1.1, 1.0, 0.2)
    )
    assert float(prior.log_prob(latents, start)) == pytest.approx(expected, rel=1e-9)


def test_stiff_modes_are_excited_less():
    found = thermal_widths(jnp.array([2.0, 8.0, 18.0]), 3.0)
    np.testing.assert_allclose(found, [3.0, 1.5, 1.0])
