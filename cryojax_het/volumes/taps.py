"""Taps: which samples of a table a slice reads or adds to, and with which weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..imaging.grid import inside_circle, row_numbers
from .kernel import Kernel

MARGIN = 2  # samples stored beyond the range of the points, so that no tap needs a wrapped index


def taps(points, shape, kernel: Kernel, order=(0, 0, 0)):
    """Flat index of the first tap, weights per axis, and sign of `kx`, of (x, y, z) `points`.

    `order` differentiates the weights along each axis; points out of range get zero weights.
    """
    limit = shape[0] // 2 - MARGIN
    sign = jnp.where(points[0] < 0, -1, 1).astype(points[0].dtype)
    first, weights, inside = [], [], True
    for axis, origin in enumerate((MARGIN, shape[1] // 2, shape[0] // 2)):
        point = points[axis] * sign
        clipped = jnp.clip(point, -limit, limit)
        inside = inside & (clipped == point)
        corner = jnp.floor(clipped + (0.5 if kernel.width % 2 else 0.0))
        offset = clipped - corner - (0.0 if kernel.width % 2 else 0.5)
        first.append(corner.astype(jnp.int32) - (kernel.width - 1) // 2 + origin)
        weights.append(_polynomials(offset, kernel, order[axis]))
    outer = jnp.where(inside, sign ** sum(order), 0)
    weights[2] = [weight * outer for weight in weights[2]]
    x, y, z = first
    return (z * shape[1] + y) * shape[2] + x, weights, sign


def scatter_rows(rows, first, weights, table):
    """Adds `wz wy wx · rows` `[..., float]` into `table` `[z, y, x, float]`.

    One scatter index moves a whole row of x taps: XLA's CPU scatter pays per index.
    """
    shape = table.shape[:3]
    wx, wy, wz = weights
    floats = rows.shape[-1]
    rows = (jnp.stack(wx, axis=-1)[..., None] * rows[..., None, :]).reshape(*first.shape, -1)
    window = jax.lax.ScatterDimensionNumbers(
        update_window_dims=(rows.ndim - 1,),
        inserted_window_dims=(),
        scatter_dims_to_operand_dims=(0,),
    )
    table = table.reshape(-1)
    for z, weight_z in enumerate(wz):
        for y, weight_y in enumerate(wy):
            start = floats * (first + (z * shape[1] + y) * shape[2])
            update = (weight_z * weight_y)[..., None] * rows
            table = jax.lax.scatter_add(
                table, start[..., None], update, window, mode="promise_in_bounds"
            )
    return table.reshape(*shape, floats)


def circle_points(frame, size):
    """(x, y, z) `[*b, f]` of the image frequencies inside the Nyquist circle, row by row."""
    rows, columns = np.nonzero(inside_circle(size))
    kx, ky = columns, row_numbers(size)[rows]
    return plane_points(frame, kx, ky)


def plane_points(frame, kx, ky):
    """`kx frame[0] + ky frame[1]`, (x, y, z), `[*b, ...]`, for numbers `kx`, `ky`."""
    kx, ky = np.broadcast_arrays(kx, ky)
    rows = frame.reshape(*frame.shape, *(1,) * kx.ndim)
    pick = lambda row, axis: rows[(..., row, axis, *(slice(None),) * kx.ndim)]
    kx, ky = jnp.asarray(kx, frame.dtype), jnp.asarray(ky, frame.dtype)
    return [kx * pick(0, axis) + ky * pick(1, axis) for axis in range(3)]


def kernel_weights(offset, kernel: Kernel):
    """Weights of the taps for points `offset` from the middle of them, -½ to ½."""
    return _polynomials(offset, kernel, 0)


def _polynomials(offset, kernel, order):
    coefficients = kernel.weights()
    for _ in range(order):
        coefficients = coefficients[:, 1:] * np.arange(1, coefficients.shape[1])
    if coefficients.shape[1] == 0:
        return [jnp.zeros_like(offset)] * kernel.width
    # Horner with literal coefficients: they become immediate operands of the compiled loop.
    return [
        functools.reduce(lambda sum_, c: sum_ * offset + float(c), row[-2::-1], float(row[-1]))
        * jnp.ones_like(offset)
        for row in coefficients
    ]
