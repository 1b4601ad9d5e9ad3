"""How exactly a network multiplies matrices."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .rounded_product import rounded_product


class AbstractProduct(eqx.Module):
    """A product of many rows with one matrix, summed at the rows' precision."""

    @abc.abstractmethod
    def __call__(self, rows: Float[Array, "... k"], matrix: Float[Array, "k m"]) -> Array:
        """`rows @ matrix`, in the type of `rows`."""


class FullProduct(AbstractProduct):
    """At the precision of the arrays themselves, on every device."""

    def __call__(self, rows, matrix):
        return jnp.matmul(rows, matrix, precision="highest")


class DeviceProduct(AbstractProduct):
    """As the device prefers: on recent GPUs 10 bits of a single-precision number's 23."""

    def __call__(self, rows, matrix):
        return jnp.matmul(rows, matrix, precision="default")


class HalfProduct(AbstractProduct):
    """Of numbers rounded to bfloat16, summed in single precision; slopes are such products too.

    Rows and matrix stay as they are outside the product, so that sums of layers and steps of the
    optimiser are not rounded.
    """

    def __call__(self, rows, matrix):
        return rounded_product(rows, matrix)
