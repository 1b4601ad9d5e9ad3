"""Shell statistics against loops, and noise spectra recovered around a particle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.spectrum import (
    background_spectrum,
    power_spectrum,
    shell_counts,
    shell_sum,
)

background = jax.jit(background_spectrum)


def full_radius(n):
    k = np.fft.fftfreq(n, 1 / n)
    return np.hypot(k[:, None], k)


def test_shell_sums_over_the_full_plane():
    grid = FourierGrid(14, 1.3)
    image = np.random.default_rng(0).normal(size=(14, 14))
    half = np.abs(np.asarray(grid.from_image(jnp.asarray(image)))) ** 2
    full = np.abs(np.fft.fft2(image)) ** 2 * 1.3**4
    expected, counts = np.zeros(8), np.zeros(8)
    for i in range(14):
        for j in range(14):
            r = full_radius(14)[i, j]
            if r < 7:
                expected[round(r)] += full[i, j]
                counts[round(r)] += 1
    np.testing.assert_allclose(shell_sum(jnp.asarray(half), grid), expected, rtol=1e-12)
    np.testing.assert_array_equal(shell_counts(grid), counts)


@pytest.mark.parametrize("size", [2, 4, 14, 32])
def test_power_spectrum_of_one_plane_of_constant_power(size):
    grid = FourierGrid(size, 1.3)
    flat = jnp.full((size, size // 2 + 1), 3.0 + 4.0j)
    spectrum = power_spectrum(flat, grid)
    assert spectrum.shape == (size // 2 + 1,)
    np.testing.assert_allclose(spectrum, 25.0 / float(grid.length) ** 2)


def test_power_spectrum_of_noise_is_its_power():
    grid, count = FourierGrid(32, 1.3), 200
    power = 2.0 + np.cos(np.arange(17) / 3)
    noise = ColouredNoise(jnp.asarray(power))
    zero = jnp.zeros((32, 17), complex)
    each = jax.jit(jax.vmap(lambda key: power_spectrum(noise.sample(key, zero, grid), grid)))
    mean = np.asarray(each(jax.random.split(jax.random.key(0), count))).mean(axis=0)
    deviation = np.sqrt(2 / (shell_counts(grid) * count))
    assert (np.abs(mean / power - 1) < 4.5 * deviation).all()


SIZE = 48
SHELL = np.arange(SIZE // 2 + 1)
SPECTRA = {
    "white": np.full(SIZE // 2 + 1, 1.3),
    "falling": 0.5 + 4 * np.exp(-((SHELL / 8) ** 2)),
    "peaked": 1 + 3 * np.exp(-((SHELL - 12) ** 2) / 8),
}


def tapered(spectrum):
    """What the taper makes of a spectrum: (¼, ½, ¼) along either axis, then means over shells."""
    shells = np.rint(full_radius(SIZE)).astype(int)
    plane = spectrum[np.minimum(shells, SIZE // 2)]
    for axis in (0, 1):
        plane = plane / 2 + (np.roll(plane, 1, axis) + np.roll(plane, -1, axis)) / 4
    inside = full_radius(SIZE) < SIZE // 2
    return np.array([plane[inside & (shells == s)].mean() for s in SHELL])


def background_mask(radius):
    y, x = np.indices((SIZE, SIZE)) - SIZE // 2
    return jnp.asarray((np.hypot(x, y) > radius * SIZE).astype(float))


@jax.jit
def estimates(keys, noise, particle, mask, grid):
    def one(key):
        image = grid.to_image(noise.sample(key, jnp.zeros((SIZE, SIZE // 2 + 1), complex), grid))
        return background_spectrum(image + particle + 5.0, mask, grid)

    return jax.vmap(one)(keys)


@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
@pytest.mark.parametrize("radius", [0.3, 0.4])
def test_background_spectrum_recovers_the_noise_around_a_particle(spectrum, radius):
    grid, count, mask = FourierGrid(SIZE, 1.7), 300, background_mask(radius)
    noise = ColouredNoise(jnp.asarray(spectrum))
    particle = 1e3 * (1 - mask)  # whatever is under the mask must not matter

    keys = jax.random.split(jax.random.key(5), count)
    mean = np.asarray(estimates(keys, noise, particle, mask, grid)).mean(axis=0)
    # Unmasking costs: the unmasked fraction of the degrees of freedom, and up to 1.4 on top.
    freedom = shell_counts(grid) * float(mask.mean()) * count
    ratio = mean / tapered(spectrum)
    assert (np.abs(ratio - 1) < 5 * 1.4 * np.sqrt(2 / freedom))[2:].all(), ratio
    # The mean of the background is not told from its slowest noise but by the shells above.
    assert (np.abs(ratio[:2] - 1) < 0.2).all(), ratio[:2]


def test_background_spectrum_without_a_mask_is_the_power_spectrum():
    grid = FourierGrid(SIZE, 1.7)
    image = jax.random.normal(jax.random.key(0), (SIZE, SIZE))
    all_pixels = background(image, jnp.ones((SIZE, SIZE)), grid)
    power = power_spectrum(grid.from_image(image), grid)
    # One image: shells are smoothed by the taper, their sum over many is not.
    counts = shell_counts(grid)
    total = lambda spectrum: float((counts * np.asarray(spectrum))[3:-3].sum())
    assert total(all_pixels) == pytest.approx(total(power), rel=0.03)


def test_background_spectrum_is_positive_and_single_precision():
    grid = FourierGrid(SIZE, jnp.float32(1.7))
    image = jnp.asarray(np.random.default_rng(0).normal(size=(SIZE, SIZE)), jnp.float32)
    spectrum = background(image, background_mask(0.45).astype(jnp.float32), grid)
    assert spectrum.dtype == jnp.float32
    assert (spectrum > 0).all()
    assert np.isfinite(spectrum).all()
