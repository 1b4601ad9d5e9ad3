"""A product of matrices that are rounded to bfloat16, whose gradients are such products too.

    y = Σ_k b(x_k) b(w_k),   x̄ = ȳ b(w)ᵀ,   w̄ = b(x)ᵀ b(ȳ)   (and `b(ȳ)` in the former)

`b` rounds to 8 bits; sums are in single precision. JAX's own derivative of a product of bfloat16
numbers with a single-precision sum multiplies in single precision again, and a CPU with units for
bfloat16 is three times as slow then. Of a batch, all rows are one product, and so is the gradient
by the matrix: a function of one image stays a function of one image. (Of a batch of matrices the
derivative is JAX's own.)

This is a primitive of JAX, with its rules below.
"""

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float


def rounded_product(rows: Float[Array, "*n k"], matrix: Float[Array, "k m"]) -> Array:
    """`rows @ matrix` of both rounded, `[*n, m]` in the type of `rows`.

    Raises `TypeError` where the shapes do not fit.
    """
    if matrix.ndim != 2 or not rows.ndim or rows.shape[-1] != matrix.shape[0]:
        raise TypeError(
            f"Rows of {rows.shape} have no product with a matrix of {matrix.shape}: their last "
            "axis must be the matrix's first."
        )
    return _PRODUCT.bind(rows, matrix)


def _half_sum(one, two):
    """The product of two matrices, or stacks of rows and a matrix, in single precision."""
    half = one.astype(jnp.bfloat16), two.astype(jnp.bfloat16)
    return jnp.matmul(*half, preferred_element_type=jnp.float32)


def _value(rows, matrix):
    return _half_sum(rows, matrix).astype(rows.dtype)


def _shape(rows, matrix):
    return rows.update(shape=(*rows.shape[:-1], matrix.shape[-1]))


def _by_rows(slope, rows, matrix):
    half = matrix.astype(jnp.bfloat16)
    found = jax.lax.platform_dependent(
        slope,
        half,
        cpu=lambda slope, half: _PRODUCT.bind(slope, _turned_in_memory(half)),
        default=lambda slope, half: _PRODUCT.bind(slope, half.T),
    )
    return found.astype(rows.aval.dtype)


def _by_matrix(slope, rows, matrix):
    flat = lambda array: array.astype(jnp.bfloat16).reshape(-1, array.shape[-1])
    found = jax.lax.platform_dependent(
        flat(rows),
        flat(slope),
        cpu=lambda rows, slope: _half_sum(_turned_in_memory(rows), slope),
        default=lambda rows, slope: _half_sum(rows.T, slope),
    )
    return found.astype(matrix.aval.dtype)


def _turned_in_memory(matrix):
    """The transpose, by an axis more than it needs.

    Of a plain transpose XLA makes a product by a turned matrix, for CPUs in single precision: four
    to seven times slower than turning and multiplying.
    """
    rows, columns = matrix.shape
    even = jnp.pad(matrix, ((0, rows % 2), (0, 0)))
    return even.reshape(-1, 2, columns).transpose(2, 0, 1).reshape(columns, -1)[:, :rows]


def _batched(arrays, axes):
    (rows, matrix), (row_axis, matrix_axis) = arrays, axes
    if matrix_axis is None:
        return _PRODUCT.bind(jnp.moveaxis(rows, row_axis, 0), matrix), 0
    return jax.vmap(_value, in_axes=(row_axis, matrix_axis))(rows, matrix), 0


_PRODUCT = Primitive("rounded_product")
_PRODUCT.def_impl(jax.jit(_value))
_PRODUCT.def_abstract_eval(_shape)
ad.defbilinear(_PRODUCT, _by_rows, _by_matrix)
batching.primitive_batchers[_PRODUCT] = _batched
mlir.register_lowering(_PRODUCT, mlir.lower_fun(_value, multiple_results=False))
