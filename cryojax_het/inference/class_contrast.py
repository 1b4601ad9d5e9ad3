"""The contrast of an image of one of several classes: one number, the same for all of them.

With a contrast of its own each class would take the images that suit its scale: a split into strong
and weak images instead of shapes. With `a_k = ⟨x_k, x_k⟩` and `b_k = Re⟨x_k, y⟩` of slices `x_k` at
contrast 1, `log p(y | k, s) - log p(y | no particle) = s b_k - ½ s² a_k`.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from .prior import LocalPrior

_ROUNDS = 8


class Products(NamedTuple):
    """`a` and `b` of each class, for one image."""

    square: Float[Array, " k"]
    overlap: Float[Array, " k"]

    def gain(self, contrast: Float[Array, ""]) -> Float[Array, " k"]:
        """`s b_k - ½ s² a_k`."""
        return contrast * self.overlap - 0.5 * contrast**2 * self.square


class AbstractClassContrast(eqx.Module):
    """How the contrast of an image is found."""

    @abc.abstractmethod
    def of(
        self,
        products: Products,
        log_population: Float[Array, " k"],
        prior: LocalPrior,
        given: Float[Array, ""],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The contrast, and the log density that it had before the image was seen."""


class GivenContrast(AbstractClassContrast):
    """As it travels with the image."""

    def of(self, products, log_population, prior, given):
        del products, log_population, prior
        return given, jnp.zeros_like(given)


class CommonContrast(AbstractClassContrast):
    """The most probable one with the class summed over, under the prior `N(μ, ρ²)`.

    `s = argmax log Σ_k π_k exp(s b_k - ½ s² a_k) + log N(s; μ, ρ²)`, by EM over the class from `μ`:
    each round is the posterior mean under averages of `a` and `b`, and none lowers the sum.
    """

    def of(self, products, log_population, prior, given):
        centre, precision = prior.contrast_mean, prior.contrast_width**-2

        def improve(_, contrast):
            weight = jax.nn.softmax(log_population + products.gain(contrast))
            a, b = weight @ products.square, weight @ products.overlap
            return (b + centre * precision) / (a + precision)

        start = jnp.asarray(centre, given.dtype)
        contrast = jax.lax.fori_loop(0, _ROUNDS, improve, start)
        return contrast, norm.logpdf(contrast, centre, prior.contrast_width)
