"""Shell statistics of transforms, and noise spectra estimated from them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .grid import FourierGrid


def shell_sum(values: Float[Array, "y x"], grid: FourierGrid) -> Float[Array, " s"]:
    """Hermitian-weighted sum of `values` over each shell 0 to n//2 inside the Nyquist circle."""
    count = grid.size // 2 + 1
    # Constants of the grid: a matrix product per image would be n³/4 flops, this is n²/2 adds.
    shells = np.where(grid.inside(), grid.shells(), count).ravel()
    weighted = (grid.weights() * values).ravel()
    return jax.ops.segment_sum(weighted, jnp.asarray(shells), num_segments=count + 1)[:count]


def shell_counts(grid: FourierGrid) -> Float[np.ndarray, " s"]:
    """Number of real degrees of freedom in each shell 0 to n//2 inside the Nyquist circle."""
    weights = np.full((grid.size, grid.size // 2 + 1), 2.0)
    weights[:, [0, -1]] = 1.0
    inside = grid.inside()
    return np.bincount(grid.shells()[inside], weights[inside], minlength=grid.size // 2 + 1)


def power_spectrum(transform: Complex[Array, "y x"], grid: FourierGrid) -> Float[Array, " s"]:
    """Spectral density per shell, `mean |F|² / L²`: the `power` of noise with this transform.

    The last shell, cut by the circle, may be empty: it repeats its neighbour.
    """
    return _shell_mean(transform.real**2 + transform.imag**2, grid) / grid.length**2


def background_spectrum(
    image: Float[Array, "n n"], mask: Float[Array, "n n"], grid: FourierGrid
) -> Float[Array, " s"]:
    """Noise spectrum from the pixels where `mask` is 1 (outside the particle), corrected for it.

    The autocorrelation of masked noise is that of the noise times that of the mask, lag by lag;
    dividing the first by the second and transforming back undoes the mask
    (`E|F(mε)|² = |F m|² ⊛ P`). Lags that fewer than one pixel pair in fifty covers are dropped.
    """
    area = jnp.sum(mask)
    pixels = (image - jnp.sum(image * mask) / area) * mask
    pairs = _autocorrelation(mask)
    covered = pairs > 0.02 * pairs[0, 0]
    lagged = jnp.where(covered, _autocorrelation(pixels) / jnp.where(covered, pairs, 1), 0)
    lag = np.minimum(np.arange(2 * grid.size), 2 * grid.size - np.arange(2 * grid.size))
    # A taper over lags keeps the estimate smooth and positive; noise correlations are short.
    taper = np.cos(np.clip(lag / (grid.size / 2), 0, 1) * np.pi / 2) ** 2
    taper = jnp.asarray(taper[:, None] * taper, lagged.dtype)
    estimate = _shell_mean(_transform_of_lags(lagged * taper), grid) * grid.pixel_size**2
    window = _shell_mean(_transform_of_lags(taper), grid)
    # Subtracting the mean took its variance, P(0) / area, from every lag: that is shells 0 and 1.
    # It is put back with the power of shell 2, the lowest that the mean leaves alone.
    estimate = estimate + estimate[min(2, grid.size // 2)] * window / area
    return jnp.maximum(estimate, 1e-6 * jnp.max(estimate))


def _shell_mean(values, grid):
    total = shell_sum(values, grid)
    counts = jnp.asarray(shell_counts(grid), total.dtype)
    mean = total / jnp.maximum(counts, 1)
    return jnp.where(counts > 0, mean, jnp.roll(mean, 1))


def _transform_of_lags(lagged):
    return jnp.fft.rfft2(lagged).real[::2, ::2]  # of the 2n lags, at the n frequencies of the grid


def _autocorrelation(pixels):
    shape = (2 * pixels.shape[0], 2 * pixels.shape[1])  # padded, so that lags do not wrap around
    spectrum = jnp.fft.rfft2(pixels, s=shape)
    return jnp.fft.irfft2(spectrum.real**2 + spectrum.imag**2, s=shape)
