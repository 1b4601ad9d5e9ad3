"""Likelihoods with the contrast or the shift of an image integrated out, in closed form.

With `a = ⟨x, x⟩`, `b = Re⟨x, y⟩`, inner products weighted by the noise's precision.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Complex, Float

from .grid import FourierGrid
from .noise import AbstractGaussianNoise


def log_marginal_contrast(
    noise: AbstractGaussianNoise,
    observed: Complex[Array, "y x"],
    mean: Complex[Array, "y x"],
    prior: tuple[Float[Array, ""], Float[Array, ""]],
    grid: FourierGrid,
) -> Float[Array, ""]:
    """`log ∫ p(observed | s·mean) N(s; μ, ρ²) ds`, with `prior = (μ, ρ)`.

    `= log p(observed | 0) + ½(b + μ/ρ²)²/(a + 1/ρ²) - ½μ²/ρ² - ½ log(1 + ρ²a)`
    """
    a, b = _products(noise, observed, mean, grid)
    return noise.log_prob(observed, jnp.zeros_like(mean), grid) + contrast_gain(a, b, prior)


def log_marginal_positive_contrast(
    noise: AbstractGaussianNoise,
    observed: Complex[Array, "y x"],
    mean: Complex[Array, "y x"],
    prior: tuple[Float[Array, ""], Float[Array, ""]],
    grid: FourierGrid,
) -> Float[Array, ""]:
    """`log_marginal_contrast` with `N(μ, ρ²)` cut off below a contrast of 0.

    `... + log Φ((ρ²b + μ) / (ρ √(1 + ρ²a))) - log Φ(μ/ρ)`: next to nothing where mean and image
    agree, and what keeps a volume that is learned from settling upside down, seen at negative
    contrasts, which the whole normal allows.
    """
    a, b = _products(noise, observed, mean, grid)
    centre, width = prior[0], jnp.maximum(prior[1], 1e-6)  # at 0 the contrast is known
    inside = log_ndtr((width**2 * b + centre) / (width * jnp.sqrt(1 + width**2 * a)))
    gain = contrast_gain(a, b, prior) + inside - log_ndtr(centre / width)
    return noise.log_prob(observed, jnp.zeros_like(mean), grid) + gain


def contrast_posterior(
    noise: AbstractGaussianNoise,
    observed: Complex[Array, "y x"],
    mean: Complex[Array, "y x"],
    prior: tuple[Float[Array, ""], Float[Array, ""]],
    grid: FourierGrid,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean and variance of the contrast `s` of `s·mean` under the prior `N(μ, ρ²)`."""
    centre, width = prior
    a, b = _products(noise, observed, mean, grid)
    a, b = a + width**-2, b + centre * width**-2
    return b / a, 1 / a


def _products(noise, observed, mean, grid):
    """`a` and `b`."""
    precision = noise.precision(grid)
    power = jnp.sum(precision * (mean.real**2 + mean.imag**2))
    return power, jnp.sum(precision * (mean.conj() * observed).real)


def shift_correlation(
    noise: AbstractGaussianNoise,
    observed: Complex[Array, "y x"],
    mean: Complex[Array, "y x"],
    grid: FourierGrid,
    oversampling: int = 1,
) -> Float[Array, "m m"]:
    """`Re⟨S(t) mean, observed⟩` for every shift `t` at once, by one FFT.

    Entry `[i, j]` is the shift `t = ((j, i) - m//2) pixel_size / oversampling`, `m` being the size
    times the oversampling.
    """
    n, m = grid.size, grid.size * oversampling
    product = noise.precision(grid) * observed * mean.conj()
    # The precision holds the Hermitian weight already; irfft2 would count the interior twice.
    product = product / grid.weights()
    # Neither Nyquist line has a shift that a real image can represent.
    product = product.at[n // 2].set(0).at[:, -1].set(0)
    half = n // 2
    padded = jnp.zeros((m, m // 2 + 1), product.dtype)
    padded = padded.at[:half, : half + 1].set(product[:half])
    padded = padded.at[m - half :, : half + 1].set(product[half:])
    return jnp.fft.fftshift(jnp.fft.irfft2(padded, s=(m, m))) * m**2


def log_marginal_shift(
    noise: AbstractGaussianNoise,
    observed: Complex[Array, "y x"],
    mean: Complex[Array, "y x"],
    log_prior: Float[Array, "m m"],
    grid: FourierGrid,
) -> Float[Array, ""]:
    """`log Σ_t p(observed | S(t) mean) p(t)` over the shifts of `shift_correlation`.

    `log_prior` `[m, m]` is over those shifts (`-inf` beyond the largest allowed) and its size
    says how finely they are sampled. The norm of `S(t) mean` does not depend on `t`.
    """
    oversampling = log_prior.shape[0] // grid.size
    correlation = shift_correlation(noise, observed, mean, grid, oversampling)
    a = jnp.sum(noise.precision(grid) * (mean.real**2 + mean.imag**2))
    at_zero = noise.log_prob(observed, jnp.zeros_like(mean), grid)
    return at_zero - 0.5 * a + jax.nn.logsumexp(correlation + log_prior)


def log_marginal_shift_contrast(
    noise: AbstractGaussianNoise,
    observed: Complex[Array, "y x"],
    mean: Complex[Array, "y x"],
    log_prior: Float[Array, "m m"],
    prior: tuple[Float[Array, ""], Float[Array, ""]],
    grid: FourierGrid,
) -> Float[Array, ""]:
    """Both integrated out: the correlation at each shift takes the place of `b`."""
    oversampling = log_prior.shape[0] // grid.size
    b = shift_correlation(noise, observed, mean, grid, oversampling)
    a = jnp.sum(noise.precision(grid) * (mean.real**2 + mean.imag**2))
    at_zero = noise.log_prob(observed, jnp.zeros_like(mean), grid)
    return at_zero + jax.nn.logsumexp(contrast_gain(a, b, prior) + log_prior)


def contrast_gain(
    a: Float[Array, "..."], b: Float[Array, "*s"], prior: tuple[Float[Array, ""], Float[Array, ""]]
) -> Float[Array, "*s"]:
    """`log ∫ p(observed | s x) N(s; μ, ρ²) ds - log p(observed | 0)`, with `prior = (μ, ρ)`.

    `= (ρ²b² + 2μb - μ²a) / (2(1 + ρ²a)) - ½ log(1 + ρ²a)`, which for ρ = 0 is the contrast known.
    """
    centre, width = prior
    variance = width**2
    spread = variance * a
    peak = variance * b**2 + 2 * centre * b - centre**2 * a
    return peak / (2 * (1 + spread)) - 0.5 * jnp.log1p(spread)
