"""The soft mask by closed forms, and on density of known strength in known noise."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.regression.presence import presence
from cryojax_het.inference.regression.shells import correlation, transforms

SIZE = 24


def band_limited(maps):
    return np.asarray(
        jnp.fft.irfftn(transforms(jnp.asarray(maps)), s=(SIZE,) * 3, axes=(-3, -2, -1))
    )


def blob(centre, width=2.0):
    squared = sum((np.indices((SIZE,) * 3)[k] - centre[k]) ** 2 for k in range(3))
    return np.exp(-0.5 * squared / width**2)


def mask_of(halves):
    halves = jnp.asarray(halves, jnp.float32)
    return np.asarray(presence(halves, correlation(*transforms(halves))))


@pytest.mark.parametrize(("ratio", "expected"), [(0.3, 0.05), (0.4, 0.58), (0.6, 1.0), (0.1, 0.0)])
def test_the_mask_of_proportional_halves(ratio, expected):
    """`V^B = c V^A` has `r = c / (¼ (1 + c)²)` everywhere."""
    half = band_limited(np.random.default_rng(0).normal(size=(SIZE,) * 3))
    found = np.asarray(
        presence(jnp.asarray(np.stack([half, ratio * half])), jnp.ones(SIZE // 2 + 1))
    )
    share = ratio / (0.25 * (1 + ratio) ** 2)
    np.testing.assert_allclose(found, np.clip((share - 0.7) / 0.2, 0, 1), atol=1e-3)
    np.testing.assert_allclose(found.mean(), expected, atol=0.01)


def test_density_is_kept_and_noise_is_not():
    rng = np.random.default_rng(1)
    strong, faint, lost = (6, 6, 6), (6, 17, 17), (18, 6, 17)
    truth = blob(strong) + 0.2 * blob(faint) + 0.005 * blob(lost)
    found = mask_of(truth + 0.05 * rng.normal(size=(2, SIZE, SIZE, SIZE)))
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.all(found[5:8, 5:8, 5:8] > 0.99)
    assert np.all(found[5:8, 16:19, 16:19] > 0.9)  # faint, and seen
    assert found[17:20, 5:8, 16:19].mean() < 0.2  # a tenth of the noise
    assert found[16:21, 16:21, 4:9].mean() < 0.05  # nothing is there
    # Nearly all the power of the truth is inside.
    assert np.sum((found * truth - truth) ** 2) < 0.01 * np.sum(truth**2)


@pytest.mark.parametrize("seed", range(3))
def test_of_noise_alone_little_is_left(seed):
    found = mask_of(np.random.default_rng(seed).normal(size=(2, SIZE, SIZE, SIZE)))
    assert np.isfinite(found).all()
    assert found.mean() < 0.02


def test_empty_maps_are_masked():
    empty = np.zeros((2, SIZE, SIZE, SIZE))
    np.testing.assert_array_equal(mask_of(empty), 0)
    one = empty.copy()
    one[0] = blob((12, 12, 12))
    np.testing.assert_array_equal(mask_of(one), 0)
    opposite = np.stack([one[0], -one[0]])
    np.testing.assert_allclose(mask_of(opposite), 0)


def test_a_scale_changes_nothing():
    rng = np.random.default_rng(4)
    halves = blob((12, 12, 12)) + 0.1 * rng.normal(size=(2, SIZE, SIZE, SIZE))
    np.testing.assert_allclose(mask_of(1e-8 * halves), mask_of(halves), atol=1e-3)
    np.testing.assert_allclose(mask_of(1e6 * halves), mask_of(halves), atol=1e-3)
