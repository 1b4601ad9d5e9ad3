"""Observation models: white noise, and radially coloured noise per optics group.

The strength of noise is its spectral density `P(k)`: a transform of a box of side `L` Å has
coefficients of variance `P L²`. White noise of `σ` per pixel of `a` Å has `P = σ² a²`, the same
number on a cropped grid, which is why densities and not pixel variances are stored.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, PRNGKeyArray

from .grid import FourierGrid


class AbstractNoise(eqx.Module):
    """A density over images given their noiseless transform."""

    @abc.abstractmethod
    def of_group(self, group: Int[Array, ""]) -> "AbstractNoise":
        """The noise of one optics group; itself where all groups share one."""

    @abc.abstractmethod
    def log_prob(
        self, observed: Complex[Array, "y x"], mean: Complex[Array, "y x"], grid: FourierGrid
    ) -> Float[Array, ""]:
        """Log density of one image. A density: summed over pixels, never averaged."""

    @abc.abstractmethod
    def sample(
        self, key: PRNGKeyArray, mean: Complex[Array, "y x"], grid: FourierGrid
    ) -> Complex[Array, "y x"]:
        """One noisy image, as a transform."""


class AbstractGaussianNoise(AbstractNoise):
    """Adds what least squares needs: `log p = -½ Σ precision |observed - mean|² - log Z`."""

    @abc.abstractmethod
    def of_group(self, group: Int[Array, ""]) -> "AbstractGaussianNoise":
        """As for any noise; Gaussian again."""

    @abc.abstractmethod
    def variance(self, grid: FourierGrid) -> Float[Array, "y x"]:
        """`E|ε|²` of each coefficient, in (density·Å³)²."""

    @abc.abstractmethod
    def precision(self, grid: FourierGrid) -> Float[Array, "y x"]:
        """Hermitian weight over variance of each stored coefficient; 0 where it is not modelled."""

    @abc.abstractmethod
    def whiten(self, residual: Complex[Array, "y x"], grid: FourierGrid) -> Float[Array, " m"]:
        """Real vector of the stored coefficients whose squared length is the misfit
        `Σ precision |residual|²`: independent entries, standard normal but for the self-conjugate
        columns, whose pairs of equal entries share one."""


class WhiteNoise(AbstractGaussianNoise):
    """Independent pixels, `power = σ² a²`. Its density is over all `n²` pixels."""

    power: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    @classmethod
    def per_pixel(cls, sigma, grid: FourierGrid) -> "WhiteNoise":
        """From the standard deviation `sigma` of one pixel of `grid`."""
        return cls((sigma * grid.pixel_size) ** 2)

    def of_group(self, group):
        return self

    def variance(self, grid):
        return jnp.full((grid.size, grid.size // 2 + 1), self.power * grid.length**2)

    def precision(self, grid):
        return grid.weights() / (self.power * grid.length**2)

    def log_prob(self, observed, mean, grid):
        misfit = jnp.sum(self.precision(grid) * _square(observed - mean))
        # One pixel has variance power / a²; the density is that of pixels, not of coefficients.
        pixel = self.power / grid.pixel_size**2
        return -0.5 * misfit - 0.5 * grid.size**2 * jnp.log(2 * jnp.pi * pixel)

    def whiten(self, residual, grid):
        return _whiten(residual, self.precision(grid))

    def sample(self, key, mean, grid):
        return mean + jnp.sqrt(self.power) * _unit_noise(key, grid)


class ColouredNoise(AbstractGaussianNoise):
    """Spectral density per shell and optics group, constant within a shell.

    Its density is over the coefficients inside the Nyquist circle: shells beyond hold no signal
    and are incomplete. `sample` fills the corners with the last shell's power.
    """

    power: Float[Array, "*g s"]  # shells 0 to n//2 or more

    def of_group(self, group):
        return ColouredNoise(self.power[group])

    def variance(self, grid):
        last = self.power.shape[-1] - 1
        # One compact table look-up; shells beyond the table take its last value.
        return self.power[np.minimum(grid.shells(), last)] * grid.length**2

    def precision(self, grid):
        inside = jnp.asarray(grid.inside(), grid.pixel_size.dtype)
        return grid.weights() * inside / self.variance(grid)

    def log_prob(self, observed, mean, grid):
        misfit = jnp.sum(self.precision(grid) * _square(observed - mean))
        pixel = self.variance(grid) / grid.length**2 / grid.pixel_size**2
        weights = grid.weights() * jnp.asarray(grid.inside(), grid.pixel_size.dtype)
        return -0.5 * misfit - 0.5 * jnp.sum(weights * jnp.log(2 * jnp.pi * pixel))

    def whiten(self, residual, grid):
        return _whiten(residual, self.precision(grid))

    def sample(self, key, mean, grid):
        scale = jnp.sqrt(self.variance(grid)) / grid.length
        return mean + scale * _unit_noise(key, grid)


def _square(z):
    return z.real**2 + z.imag**2


def _whiten(residual, precision):
    scaled = residual * jnp.sqrt(precision)
    return jnp.concatenate([scaled.real.ravel(), scaled.imag.ravel()])


def _unit_noise(key, grid):
    # Through real pixels: a half-plane drawn directly must get its self-conjugate columns right,
    # and real coefficients would make every image symmetric about its centre.
    pixels = jax.random.normal(key, (grid.size, grid.size), grid.pixel_size.dtype)
    return grid.from_image(pixels) / grid.pixel_size
