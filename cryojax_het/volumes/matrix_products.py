"""How exactly a network multiplies matrices."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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
    """Of numbers rounded to bfloat16, summed in single precision, forward and backward.

    Rows and matrix stay as they are outside the product, so that sums of layers and steps of the
    optimiser are not rounded.
    """

    def __call__(self, rows, matrix):
        return _half(rows, matrix).astype(rows.dtype)


@jax.custom_vjp
def _half(rows, matrix):
    return _half_forward(rows, matrix)[0]


def _half_forward(rows, matrix):
    rounded = rows.astype(jnp.bfloat16), matrix.astype(jnp.bfloat16)
    # The last entry is empty: it says what types the gradients have.
    kinds = (jnp.zeros(0, rows.dtype), jnp.zeros(0, matrix.dtype))
    return jnp.matmul(*rounded, preferred_element_type=jnp.float32), (*rounded, kinds)


def _half_backward(kept, slope):
    rows, matrix, (row_kind, matrix_kind) = kept
    slope = slope.astype(jnp.bfloat16)
    to_rows = jnp.matmul(slope, matrix.T, preferred_element_type=jnp.float32)
    flat = rows.reshape(-1, rows.shape[-1])
    # Behind a barrier, or the transpose is folded into a product that CPUs have no fast form of.
    turned = jax.lax.optimization_barrier(flat.T)
    to_matrix = jnp.matmul(
        turned, slope.reshape(-1, slope.shape[-1]), preferred_element_type=jnp.float32
    )
    return to_rows.astype(row_kind.dtype), to_matrix.astype(matrix_kind.dtype)


_half.defvjp(_half_forward, _half_backward)
