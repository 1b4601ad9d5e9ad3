"""The frequency grid against direct sums over pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.gaussians import Gaussians

SIZES = pytest.mark.parametrize("size", [2, 8, 14])


def direct_transform(image, pixel_size):
    """`a² Σ I(r) exp(-2πi k·r)`, `r` from pixel n//2, by explicit loops over frequencies."""
    n = len(image)
    r = (np.arange(n) - n // 2) * pixel_size
    kx, ky = np.arange(n // 2 + 1) / (n * pixel_size), np.fft.fftfreq(n, pixel_size)
    out = np.zeros((n, n // 2 + 1), complex)
    for i, v in enumerate(ky):
        for j, u in enumerate(kx):
            out[i, j] = (image * np.exp(-2j * np.pi * (v * r[:, None] + u * r))).sum()
    return out * pixel_size**2


@SIZES
def test_transform_is_the_continuous_one_about_the_centre(size):
    grid = FourierGrid(size, 1.3)
    image = np.random.default_rng(0).normal(size=(size, size))
    transform = grid.from_image(jnp.asarray(image))
    np.testing.assert_allclose(transform, direct_transform(image, 1.3), atol=1e-12)
    np.testing.assert_allclose(grid.to_image(transform), image, atol=1e-13)


@SIZES
def test_frequencies(size):
    grid = FourierGrid(size, 1.3)
    assert float(grid.length) == pytest.approx(size * 1.3)
    np.testing.assert_allclose(grid.ky, np.fft.fftfreq(size, 1.3), atol=1e-15)
    np.testing.assert_allclose(grid.kx, np.fft.rfftfreq(size, 1.3), atol=1e-15)
    ky, kx = np.meshgrid(np.fft.fftfreq(size, 1.3), np.fft.rfftfreq(size, 1.3), indexing="ij")
    np.testing.assert_allclose(grid.k_squared(), kx**2 + ky**2, atol=1e-15)


def test_plane_is_the_transposed_rotation_of_the_frequencies():
    grid = FourierGrid(8, 1.3)
    rotation = Rotation.random(rng=np.random.default_rng(0))
    plane = grid.plane(jnp.asarray(rotation.as_matrix()))
    for i, v in enumerate(np.fft.fftfreq(8, 1.3)):
        for j, u in enumerate(np.fft.rfftfreq(8, 1.3)):
            np.testing.assert_allclose(plane[i, j], rotation.inv().apply([u, v, 0]), atol=1e-15)


@SIZES
def test_weights_count_real_pixels(size):
    grid = FourierGrid(size, 1.3)
    assert grid.weights().sum() == size**2
    image = np.random.default_rng(1).normal(size=(size, size))
    power = np.abs(np.asarray(grid.from_image(jnp.asarray(image)))) ** 2
    parseval = (np.asarray(grid.weights()) * power).sum() / float(grid.length) ** 2
    assert parseval == pytest.approx((image**2).sum() * 1.3**2)


@SIZES
def test_shells_and_circle(size):
    grid = FourierGrid(size, 1.3)
    shells, inside = grid.shells(), grid.inside()
    for i, v in enumerate(np.fft.fftfreq(size, 1 / size)):
        for j in range(size // 2 + 1):
            assert shells[i, j] == round(np.hypot(v, j))
            assert inside[i, j] == (v * v + j * j < (size / 2) ** 2)


def test_crop_keeps_the_box_and_its_frequencies():
    grid, small = FourierGrid(14, 1.3), FourierGrid(14, 1.3).crop(8)
    assert small.size == 8
    assert float(small.length) == pytest.approx(14 * 1.3)
    np.testing.assert_allclose(small.kx, grid.kx[:5], atol=1e-15)


def test_cropped_transform_is_the_slice_of_the_cropped_grid():
    grid = FourierGrid(24, 1.3)
    small = grid.crop(16)
    positions = 3.0 * jax.random.normal(jax.random.key(0), (5, 3))
    volume = Gaussians(positions, jnp.ones(5), jnp.full(5, 1.5))
    rotation = jnp.asarray(Rotation.random(rng=np.random.default_rng(2)).as_matrix())
    large = volume.slice(jnp.zeros(0), rotation, grid)
    direct = volume.slice(jnp.zeros(0), rotation, small)
    inside = jnp.asarray(small.inside())
    np.testing.assert_allclose(
        jnp.where(inside, grid.crop_transform(large, 16), 0), direct, atol=1e-14
    )


def test_cropped_transform_has_the_pixels_of_the_band_limited_image():
    """Cropping by two leaves every other pixel of an image without higher frequencies."""
    grid = FourierGrid(16, 1.3)
    transform = grid.from_image(jax.random.normal(jax.random.key(0), (16, 16)))
    ky, kx = np.fft.fftfreq(16, 1 / 16)[:, None], np.arange(9)
    low = jnp.where((np.abs(ky) < 4) & (kx < 4), transform, 0)
    cropped = grid.crop(8).to_image(grid.crop_transform(low, 8))
    np.testing.assert_allclose(cropped, grid.to_image(low)[::2, ::2], atol=1e-13)


def test_cropped_transform_has_no_nyquist():
    grid = FourierGrid(16, 1.3)
    transform = grid.from_image(jax.random.normal(jax.random.key(0), (16, 16)))
    cropped = np.asarray(grid.crop_transform(transform, 8))
    assert cropped.shape == (8, 5)
    assert not cropped[4].any()
    assert not cropped[:, 4].any()
    np.testing.assert_array_equal(grid.crop_transform(transform, 16), transform)


@pytest.mark.parametrize("size", [0, 7])
def test_odd_or_empty_boxes_are_refused(size):
    with pytest.raises(ValueError, match=f"even number of pixels. Got {size}"):
        FourierGrid(size, 1.0)


def test_a_crop_cannot_grow():
    with pytest.raises(ValueError, match=r"exceed the grid's 8\. Got 10"):
        FourierGrid(8, 1.0).crop(10)


def test_precision_is_kept():
    grid = FourierGrid(8, jnp.float32(1.3))
    image = jnp.ones((8, 8), jnp.float32)
    assert grid.from_image(image).dtype == jnp.complex64
    assert grid.to_image(grid.from_image(image)).dtype == jnp.float32
    single = [grid.kx, grid.ky, grid.weights(), grid.k_squared(), grid.length]
    single += [grid.crop(4).pixel_size, grid.plane(jnp.eye(3, dtype=jnp.float32))]
    assert {str(array.dtype) for array in single} == {"float32"}
