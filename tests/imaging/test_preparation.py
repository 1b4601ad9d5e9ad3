"""Preparation of pixels against plain NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.preparation import (
    Invert,
    NormaliseBackground,
    Window,
    prepare_image,
    soft_disc,
)

SIZE, PIXEL = 16, 1.7


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).normal(3.0, 2.0, (SIZE, SIZE))


def direct_transform(image, frequencies_y, frequencies_x):
    """`a² Σ I(x, y) exp(-2πi (kx x + ky y))` term by term, the origin at pixel n // 2."""
    n = len(image)
    at = (np.arange(n) - n // 2) * PIXEL
    wave = lambda k: np.exp(-2j * np.pi * np.outer(k, at))
    return PIXEL**2 * wave(frequencies_y) @ image @ wave(frequencies_x).T


def test_no_steps_is_the_continuous_transform(image):
    grid = FourierGrid(SIZE, PIXEL)
    ky = np.fft.fftfreq(SIZE, PIXEL)
    kx = np.arange(SIZE // 2 + 1) / (SIZE * PIXEL)
    expected = direct_transform(image, ky, kx)
    np.testing.assert_allclose(
        prepare_image(jnp.asarray(image), (), grid, SIZE), expected, atol=1e-11
    )


@pytest.mark.parametrize("size", [8, 10, 14])
def test_crop_keeps_the_same_frequencies_of_the_same_box(image, size):
    grid = FourierGrid(SIZE, PIXEL)
    result = np.asarray(prepare_image(jnp.asarray(image), (), grid, size))
    ky = np.fft.fftfreq(size, 1 / size) / (SIZE * PIXEL)
    kx = np.arange(size // 2 + 1) / (SIZE * PIXEL)
    expected = direct_transform(image, ky, kx)
    expected[size // 2] = expected[:, size // 2] = 0
    assert result.shape == (size, size // 2 + 1)
    np.testing.assert_allclose(result, expected, atol=1e-11)


def test_steps_come_in_order(image):
    grid = FourierGrid(SIZE, PIXEL)
    window = soft_disc(SIZE, 4.0, 2.0)
    background = 1.0 - soft_disc(SIZE, 5.0, 0.0)
    steps = (Invert(), NormaliseBackground(jnp.asarray(background)), Window(jnp.asarray(window)))
    expected = -image
    outside = expected[background == 1]
    expected = (expected - outside.mean()) / outside.std()
    fill = np.sum(expected * (1 - window)) / np.sum(1 - window)
    expected = fill + window * (expected - fill)
    transform = prepare_image(jnp.asarray(image), steps, grid, SIZE)
    np.testing.assert_allclose(grid.to_image(transform), expected, atol=1e-6)


def test_normalised_background_has_mean_0_and_deviation_1(image):
    background = 1.0 - soft_disc(SIZE, 5.0, 0.0)
    changed = np.asarray(NormaliseBackground(jnp.asarray(background))(jnp.asarray(image)))[
        background == 1
    ]
    assert changed.mean() == pytest.approx(0, abs=1e-12)
    assert changed.std() == pytest.approx(1, abs=1e-12)


def test_normalisation_of_a_constant_background_only_shifts():
    image = np.full((SIZE, SIZE), 5.0)
    image[8, 8] = 7.0
    background = 1.0 - soft_disc(SIZE, 3.0, 0.0)
    changed = np.asarray(NormaliseBackground(jnp.asarray(background))(jnp.asarray(image)))
    np.testing.assert_allclose(changed, image - 5.0)


def test_window_keeps_the_inside_and_flattens_the_outside(image):
    window = soft_disc(SIZE, 4.0, 2.0)
    changed = np.asarray(Window(jnp.asarray(window))(jnp.asarray(image)))
    np.testing.assert_allclose(changed[window == 1], image[window == 1])
    assert np.ptp(changed[window == 0]) < 1e-12


def test_window_that_is_1_everywhere_changes_nothing(image):
    np.testing.assert_allclose(Window(jnp.ones((SIZE, SIZE)))(jnp.asarray(image)), image)


def test_soft_disc_profile():
    disc = soft_disc(32, 6.0, 4.0)
    y, x = np.indices((32, 32)) - 16
    distance = np.sqrt(x**2 + y**2)
    assert (disc[distance <= 6] == 1).all()
    assert (np.abs(disc[distance >= 10]) < 1e-7).all()
    assert disc[16, 24] == pytest.approx(0.5)  # 8 pixels: half-way down
    assert disc[16, 23] == pytest.approx(0.5 + 0.5 * np.cos(np.pi / 4))


def test_hard_disc_is_binary():
    assert set(np.unique(soft_disc(32, 7.5, 0.0)).tolist()) == {0.0, 1.0}
