"""Resampled images against analytic Gaussians, sampled directly and as transforms."""

import numpy as np
import pytest

from cryojax_het.particles.arrays import from_arrays
from cryojax_het.particles.resample import Resampled, fourier_resize, pad_or_crop
from cryojax_het.particles.source import Concatenated

_PLACE, _SIGMA = np.array([4.0, -7.0]), 5.0


def _gaussian(size: int, pixel_size: float, place=_PLACE, sigma: float = _SIGMA) -> np.ndarray:
    """Unit mass at `place` (x, y) Å, sampled: density per Å²."""
    axis = (np.arange(size) - size // 2) * pixel_size
    x = np.exp(-((axis - place[0]) ** 2) / (2 * sigma**2))
    y = np.exp(-((axis - place[1]) ** 2) / (2 * sigma**2))
    return (y[:, None] * x / (2 * np.pi * sigma**2))[None].astype(np.float32)


@pytest.mark.parametrize(("old", "new"), [(64, 48), (48, 64), (64, 64), (64, 32)])
def test_fourier_resize_samples_the_same_function(old: int, new: int):
    length = 96.0
    expected = _gaussian(new, length / new)
    resized = fourier_resize(_gaussian(old, length / old), new)
    np.testing.assert_allclose(resized, expected, atol=2e-6 * expected.max())


@pytest.mark.parametrize(("old", "new"), [(64, 48), (48, 64), (65, 66), (65, 64), (64, 65), (5, 8)])
def test_padding_and_cropping_keep_the_centre(old: int, new: int):
    images = np.zeros((2, old, old), np.float32)
    images[:, old // 2, old // 2] = 1
    images[1] += 3  # a constant background continues
    result = pad_or_crop(images, new)
    assert result.shape == (2, new, new)
    assert result[0, new // 2, new // 2] == 1
    assert result[0].sum() == 1
    assert result[1].min() == 3
    assert result[1].max() == 4


@pytest.mark.parametrize(
    ("old", "pixel", "size", "target"),
    [(96, 1.25, 48, 2.1), (64, 2.0, 96, 1.3), (75, 1.6, 60, 2.0), (80, 1.5, 60, 2.0)],
)
def test_the_table_makes_the_common_grid_exact(old, pixel, size, target):
    """On the grid, transform(k) = scale · F(M k) · exp(-2πi k·shift), F of a centred Gaussian."""
    source = from_arrays(_gaussian(old, pixel), pixel, shift=_PLACE[None])
    resampled = Resampled(source, size, target)
    table = resampled.table()
    image = resampled.read(np.array([0]))[0]
    assert image.shape == (size, size)
    sign = 1 - 2 * (np.add.outer(np.arange(size), np.arange(size // 2 + 1)) % 2)
    transform = np.fft.rfft2(image) * sign * target**2
    k = np.stack(
        np.meshgrid(np.arange(size // 2 + 1), np.fft.fftfreq(size, 1 / size), indexing="xy"), -1
    ) / (size * target)
    true = k @ table.magnification[0].T
    model = np.exp(-2 * np.pi**2 * _SIGMA**2 * (true**2).sum(-1)) * table.scale[0]
    model = model * np.exp(-2j * np.pi * (k @ table.shift[0]))
    np.testing.assert_allclose(transform, model, atol=1e-5)
    assert abs(table.magnification[0, 0, 0] - 1) <= 1 / min(old, size)
    np.testing.assert_allclose(resampled.native_shift(np.array([0]), table.shift), [_PLACE])


def test_images_that_fit_are_untouched():
    source = from_arrays(_gaussian(32, 1.5), 1.5, shift=_PLACE[None])
    resampled = Resampled(source, 32, 1.5)
    np.testing.assert_array_equal(resampled.read(np.array([0])), source.read(np.array([0])))
    np.testing.assert_array_equal(resampled.table().shift, [_PLACE])
    np.testing.assert_array_equal(resampled.table().magnification, [np.eye(2)])
    assert "magnification" not in resampled.table().optics()


def test_mixed_groups_share_a_batch():
    parts = [from_arrays(_gaussian(n, a), a) for n, a in ((64, 1.5), (80, 1.2), (49, 2.0))]
    mixed = Resampled(Concatenated(parts), 48, 2.0)
    images = mixed.read(np.array([2, 0, 1, 0]))
    assert images.shape == (4, 48, 48)
    np.testing.assert_array_equal(images[1], images[3])
    expected = _gaussian(48, 2.0)[0]
    for image in images:
        np.testing.assert_allclose(image, expected, atol=0.02 * expected.max())


@pytest.mark.parametrize(("size", "pixel_size"), [(33, 1.0), (2, 1.0), (32, 0.0)])
def test_impossible_grids_are_refused(size: int, pixel_size: float):
    with pytest.raises(ValueError, match=r"`(pixel_)?size`"):
        Resampled(from_arrays(_gaussian(32, 1.5), 1.5), size, pixel_size)
