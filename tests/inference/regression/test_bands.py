"""Fourier bands, and running means against sums over all voxels."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.regression.bands import band, centres, running_mean, voxels, widths


def radii(size):
    full, half = np.fft.fftfreq(size, 1 / size), np.fft.rfftfreq(size, 1 / size)
    return np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)


@pytest.mark.parametrize("size", [4, 12, 15, 32, 64])
def test_bands_are_a_partition_of_unity(size):
    middle = centres(size)
    assert middle[0] == 0
    assert middle[-1] == pytest.approx(size // 2)
    assert np.all(np.diff(middle) > 0)
    found = np.stack([np.asarray(band(size, jnp.asarray(b))) for b in range(len(middle))])
    assert found.min() >= 0
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    # A band is 1 at its centre, and nothing from the next ones on.
    radius = radii(size)
    np.testing.assert_allclose(found[0][radius >= middle[1]], 0, atol=1e-6)
    np.testing.assert_allclose(found[-1][radius >= middle[-1]], 1, atol=1e-6)
    np.testing.assert_allclose(found[-1][radius <= middle[-2]], 0, atol=1e-6)


def test_a_band_by_hand():
    size = 32
    low, high = centres(size)[1:3]
    assert low == pytest.approx(2)
    found = np.asarray(band(size, jnp.asarray(1)))
    assert found[0, 0, 2] == pytest.approx(1, abs=1e-6)
    hat = (np.log(1 + high / 3) - np.log(1 + 3 / 3)) / (np.log(1 + high / 3) - np.log(1 + low / 3))
    assert found[0, 3, 0] == pytest.approx(np.sin(np.pi / 2 * hat) ** 2, abs=1e-5)


@pytest.mark.parametrize("size", [4, 12, 32, 256])
def test_windows_are_half_a_period_within_bounds(size):
    found, middle = widths(size), centres(size)
    most = 0.2 * size
    assert found[0] == pytest.approx(most)
    assert np.all(np.diff(found) <= 0)
    expected = [min(max(0.5 * size / r, min(2.0, most)), most) for r in middle[1:]]
    np.testing.assert_allclose(found[1:], expected)


def test_back_from_transforms():
    maps = np.random.default_rng(0).normal(size=(2, 8, 8, 8))
    np.testing.assert_allclose(voxels(jnp.fft.rfftn(maps, axes=(-3, -2, -1))), maps, atol=1e-5)


@pytest.mark.parametrize("width", [1.5, 2.5])
def test_running_means_by_brute_force(width):
    size = 10
    values = np.random.default_rng(1).normal(size=(size,) * 3)
    steps = np.arange(-6 * size, 6 * size + 1)
    window = np.exp(-0.5 * (steps / width) ** 2)
    around = np.zeros(size)
    np.add.at(around, steps % size, window / window.sum())
    circulant = around[(np.arange(size)[:, None] - np.arange(size)) % size]
    expected = np.einsum("ai,bj,ck,ijk->abc", circulant, circulant, circulant, values)
    found = np.asarray(running_mean(jnp.asarray(values), jnp.asarray(width)))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    even = running_mean(jnp.full((size,) * 3, 7.0), jnp.asarray(width))
    np.testing.assert_allclose(even, 7, rtol=1e-5)
