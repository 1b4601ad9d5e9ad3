"""Noise models against multivariate normal densities written out over pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2, multivariate_normal

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import ColouredNoise, WhiteNoise

GRID = FourierGrid(8, 1.3)
ZERO = jnp.zeros((8, 5), complex)
SPECTRUM = np.array([4.0, 3.0, 1.5, 0.7, 0.4])


def radius(n):
    k = np.fft.fftfreq(n, 1 / n)
    return np.hypot(k[:, None], k)


def pixel_covariance(spectrum, n, pixel_size):
    """Covariance `[n², n²]` of pixels whose spectral density is `spectrum[round(|k|)]`."""
    density = spectrum[np.minimum(np.rint(radius(n)).astype(int), len(spectrum) - 1)]
    lags = np.fft.ifft2(density).real / pixel_size**2
    y, x = (index.ravel() for index in np.indices((n, n)))
    return lags[(y[:, None] - y) % n, (x[:, None] - x) % n]


def inside_basis(n):
    """Orthonormal real images `[n², p]` spanning the frequencies inside the Nyquist circle."""
    keep = (radius(n) < n / 2).astype(float)
    images = np.eye(n * n).reshape(-1, n, n)
    projector = np.fft.ifft2(np.fft.fft2(images) * keep).real.reshape(n * n, n * n)
    values, vectors = np.linalg.eigh(projector)
    return vectors[:, values > 0.5]


def test_coloured_density_is_the_multivariate_normal_inside_the_circle():
    image, mean = np.random.default_rng(0).normal(size=(2, 8, 8))
    noise = ColouredNoise(jnp.asarray(SPECTRUM))
    got = noise.log_prob(
        GRID.from_image(jnp.asarray(image)), GRID.from_image(jnp.asarray(mean)), GRID
    )
    basis = inside_basis(8)
    covariance = basis.T @ pixel_covariance(SPECTRUM, 8, 1.3) @ basis
    closed = multivariate_normal(cov=covariance).logpdf(basis.T @ (image - mean).ravel())
    assert float(got) == pytest.approx(closed, rel=1e-10)


def test_white_density_is_that_of_flat_coloured_noise_plus_the_corners():
    image = np.random.default_rng(0).normal(size=(8, 8))
    transform = GRID.from_image(jnp.asarray(image))
    white = WhiteNoise(jnp.asarray(1.7)).log_prob(transform, ZERO, GRID)
    coloured = ColouredNoise(jnp.full(5, 1.7)).log_prob(transform, ZERO, GRID)
    basis = np.linalg.svd(np.eye(64) - inside_basis(8) @ inside_basis(8).T)[0]
    outside = basis[:, : 64 - inside_basis(8).shape[1]].T @ image.ravel()
    corners = multivariate_normal(cov=1.7 / 1.3**2 * np.eye(len(outside))).logpdf(outside)
    assert float(white) == pytest.approx(float(coloured) + corners, rel=1e-10)


@pytest.mark.parametrize("colour", ["white", "coloured"])
def test_samples_have_the_covariance_of_the_spectrum(colour):
    spectrum = np.full(5, 2.0) if colour == "white" else SPECTRUM
    noise = (
        WhiteNoise(jnp.asarray(2.0)) if colour == "white" else ColouredNoise(jnp.asarray(SPECTRUM))
    )
    mean = GRID.from_image(jnp.full((8, 8), 3.0))
    count = 20000
    draw = jax.jit(jax.vmap(lambda key: GRID.to_image(noise.sample(key, mean, GRID))))
    pixels = np.asarray(draw(jax.random.split(jax.random.key(0), count))).reshape(count, 64) - 3.0
    true = pixel_covariance(spectrum, 8, 1.3)
    deviation = np.sqrt((np.outer(np.diag(true), np.diag(true)) + true**2) / count)
    assert (np.abs(pixels.T @ pixels / count - true) < 5.5 * deviation).all()
    assert (np.abs(pixels.mean(axis=0)) < 5 * np.sqrt(np.diag(true) / count)).all()


def test_per_pixel_noise_has_that_deviation_per_pixel():
    grid = FourierGrid(64, 1.3)
    noise = WhiteNoise.per_pixel(0.8, grid)
    sample = noise.sample(jax.random.key(0), jnp.zeros((64, 33), complex), grid)
    pixels = np.asarray(grid.to_image(sample))
    low, high = chi2(64 * 64).ppf([1e-4, 1 - 1e-4]) / 64**2
    assert low < np.mean(pixels**2) / 0.8**2 < high


def test_a_density_means_the_same_on_a_cropped_grid():
    grid, small = FourierGrid(32, 1.3), FourierGrid(32, 1.3).crop(16)
    for noise in (WhiteNoise(jnp.asarray(2.0)), ColouredNoise(jnp.linspace(3.0, 0.5, 17))):
        cropped = grid.crop_transform(noise.variance(grid).astype(complex), 16).real
        inside = small.inside()
        np.testing.assert_allclose(np.asarray(noise.variance(small))[inside], cropped[inside])


def test_optics_groups_have_their_own_spectra():
    power = jnp.stack([jnp.asarray(SPECTRUM), jnp.asarray(2 * SPECTRUM)])
    noise = ColouredNoise(power)
    groups = jnp.array([0, 1, 1])
    ratio = jax.vmap(lambda g: noise.of_group(g).variance(GRID))(groups)
    np.testing.assert_allclose(ratio[1] / ratio[0], 2.0)
    np.testing.assert_allclose(ratio[2], ratio[1])
    white = WhiteNoise(jnp.asarray(2.0))
    assert white.of_group(jnp.asarray(1)) is white


def test_coloured_noise_models_nothing_in_the_corners():
    precision = np.asarray(ColouredNoise(jnp.asarray(SPECTRUM)).precision(GRID))
    np.testing.assert_array_equal(precision > 0, GRID.inside())
