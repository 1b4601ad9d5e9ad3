"""Features of frequencies against their formulas, and the rule of the width by sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.volumes.frequency_features import (
    gaussian_features,
    geometric_features,
    geometric_full_features,
    geometric_low_features,
    geometric_middle_features,
    linear_features,
    width_of_radius,
)

KEY = jax.random.key(0)
POINTS = jax.random.uniform(KEY, (20, 3), minval=-0.5, maxval=0.5)


def test_waves_of_random_pitches():
    features = gaussian_features(KEY, 64, 0.5)
    phases = np.asarray(POINTS) @ np.asarray(features.pitches, np.float64).T
    expected = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    assert expected.shape == (20, 2 * 3 * 32)
    np.testing.assert_allclose(features.encode(POINTS), expected, atol=1e-6)
    assert float(jnp.std(features.pitches)) == pytest.approx(16, rel=0.1)


@pytest.mark.parametrize(
    ("make", "pitches"),
    [
        (linear_features, np.arange(1, 33)),
        (geometric_features, 64 * np.pi * (2 / 64) ** (np.arange(32) / 31)),
        (geometric_full_features, 64 * np.pi * (1 / 64 / np.pi) ** (np.arange(32) / 31)),
        (geometric_low_features, 32 * (1 / 32) ** (np.arange(32) / 31)),
        (geometric_middle_features, 32 * (2 * np.pi / 32) ** (np.arange(32) / 31)),
    ],
)
def test_waves_along_axes(make, pitches):
    """As cryoDRGN's formulas give them."""
    phases = (np.asarray(POINTS)[:, :, None] * pitches).reshape(20, -1)
    expected = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    np.testing.assert_allclose(make(64).encode(POINTS), expected, atol=1e-6)


def test_slopes_of_features():
    features = gaussian_features(KEY, 64)
    _, slope = jax.jvp(features.encode, (POINTS,), (jnp.ones_like(POINTS),))
    step = 1e-6
    plus, minus = (features.encode(POINTS + h) for h in (step, -step))
    np.testing.assert_allclose(slope, (plus - minus) / (2 * step), atol=1e-5)


def test_the_width_of_a_radius_fills_the_ball():
    """Random atoms have the mean square radius of a ball, 3/5 of its radius squared."""
    pitches = np.asarray(gaussian_features(KEY, 64, width_of_radius(0.35), 20000).pitches)
    atoms = np.linalg.norm(pitches, axis=1) / (2 * np.pi)
    assert np.mean(atoms**2) == pytest.approx(0.6 * (0.35 * 64) ** 2, rel=0.03)
