"""The contrast of an image within its likelihood: known, or integrated out."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.marginal import contrast_gain


class AbstractContrast(eqx.Module):
    """What is known of the contrast `s` of `s x`.

    With `a = ⟨x, x⟩` and `b = Re⟨x, y⟩`, weighted by the noise's precision.
    """

    @abc.abstractmethod
    def gain(
        self, a: Float[Array, ""], b: Float[Array, "*s"], given: Float[Array, ""]
    ) -> Float[Array, "*s"]:
        """`log p(y | x) - log p(y | 0)`; `given` is the contrast that the image came with."""


class KnownContrast(AbstractContrast):
    """The one that the image came with: `s b - ½ s² a`."""

    def gain(self, a, b, given):
        return given * b - 0.5 * given**2 * a


class NormalContrast(AbstractContrast):
    """`s ~ N(mean, width²)`, `width > 0`, integrated out in closed form, whatever the image came
    with."""

    mean: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    width: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def gain(self, a, b, given):
        del given
        return contrast_gain(a, b, (self.mean, self.width))
