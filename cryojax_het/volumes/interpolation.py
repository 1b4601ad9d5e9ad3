"""Central slices of an oversampled half-spectrum, and their exact adjoint.

`central_slice(table, frame, size, kernel)` is a JAX primitive, for two reasons that plain indexing
cannot give. Its transpose with respect to the table is one scatter of whole rows of taps
(`back_project`), not one per tap; and under `vmap` with one shared table the slices of all images
reach that scatter together, so that no volume per image ever exists. It is differentiable to any
order, forward and reverse, in the table and in the frame, and batches over either; volumes batched
under one pose become channels and share their taps.

A table `[z, y, x, channel]` is a half of the spectrum of real volumes: `kz` and `ky` from
`-(m/2 + 2)` to `m/2 + 2`, `kx` from -2 to `m/2 + 2`. A frame `[2, 3]` says how many table steps
(x, y, z) one step of the image's `kx` and of its `ky` makes. Where `kx` of the table comes out
negative the conjugate of the opposite point is read; points beyond `m/2`, and frequencies of the
image outside its Nyquist circle, give zero.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Complex, Float

from ..imaging.grid import inside_circle, row_numbers
from .kernel import Kernel

MARGIN = 2  # samples stored beyond the range of the points, so that no tap needs a wrapped index


def central_slice(
    table: Complex[Array, "z y x c"], frame: Float[Array, "*b 2 3"], size: int, kernel: Kernel
) -> Complex[Array, "*b n h c"]:
    """Half-plane of each channel of `table` on the plane of `frame`."""
    return _slice_p.bind(table, frame, size=size, kernel=kernel, order=(0, 0, 0))


def back_project(
    planes: Complex[Array, "*b n h c"],
    frame: Float[Array, "*b 2 3"],
    shape: tuple[int, int, int],
    kernel: Kernel,
) -> Complex[Array, "z y x c"]:
    """Transpose of `central_slice` for a table of `shape`: every plane laid down, and summed.

    As in all JAX transposes no conjugate is taken: the adjoint with respect to `Re⟨·,·⟩` is
    `back_project(planes.conj(), ...).conj()`.
    """
    return _back_p.bind(planes, frame, shape=tuple(shape), kernel=kernel, order=(0, 0, 0))


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
    return _points(frame, kx, ky)


def _points(frame, kx, ky):
    """`kx frame[0] + ky frame[1]`, (x, y, z), for numbers `kx`, `ky` of any common shape."""
    kx, ky = np.broadcast_arrays(kx, ky)
    rows = frame.reshape(*frame.shape, *(1,) * kx.ndim)
    pick = lambda row, axis: rows[(..., row, axis, *(slice(None),) * kx.ndim)]
    kx, ky = jnp.asarray(kx, frame.dtype), jnp.asarray(ky, frame.dtype)
    return [kx * pick(0, axis) + ky * pick(1, axis) for axis in range(3)]


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


def _slice(table, frame, *, size, kernel, order):
    *shape, channels = table.shape
    half = size // 2  # the Nyquist column is outside the circle
    # Corners of the half-plane are computed and masked: a gather that packed and unpacked the
    # circle costs as much as the 22 % it saves.
    points = _points(frame, np.arange(half), row_numbers(size)[:, None])
    first, (wx, wy, wz), sign = taps(points, shape, kernel, order)
    flat = table.reshape(-1)
    totals = [jnp.zeros(first.shape, table.dtype) for _ in range(channels)]
    for z in range(kernel.width):
        for y in range(kernel.width):
            row = first + (z * shape[1] + y) * shape[2]
            wzy = wz[z] * wy[y]
            for x in range(kernel.width):
                weight = wzy * wx[x]
                for c in range(channels):
                    index = (row + x) * channels + c
                    totals[c] += weight * flat.at[index].get(mode="promise_in_bounds")
    inside = jnp.asarray(inside_circle(size)[:, :half], sign.dtype)
    finish = lambda t: jax.lax.complex(t.real * inside, t.imag * (sign * inside))
    out = jnp.stack([finish(total) for total in totals], axis=-1)
    return jnp.pad(out, [(0, 0)] * (out.ndim - 2) + [(0, 1), (0, 0)])


def _back(planes, frame, *, shape, kernel, order):
    rows, columns = np.nonzero(inside_circle(planes.shape[-3]))
    first, weights, sign = taps(circle_points(frame, planes.shape[-3]), shape, kernel, order)
    values = planes[..., rows, columns, :]
    pairs = jnp.stack([values.real, values.imag * sign[..., None]], axis=-1)
    rows = pairs.reshape(*first.shape, -1)
    empty = jnp.zeros((*shape, rows.shape[-1]), rows.dtype)
    table = scatter_rows(rows, first, weights, empty).reshape(*shape, -1, 2)
    return jax.lax.complex(table[..., 0], table[..., 1])


def _raised(order, axis):
    return tuple(o + (a == axis) for a, o in enumerate(order))


def _moved(frame_dot, axis, size):
    """How far each frequency's point moves along `axis` when the frame does."""
    kx, ky = np.arange(size // 2 + 1), row_numbers(size)[:, None]
    return _points(frame_dot, kx, ky)[axis][..., None]


def _slice_jvp(primals, tangents, *, size, kernel, order):
    (table, frame), (table_dot, frame_dot) = primals, tangents
    bind = functools.partial(_slice_p.bind, size=size, kernel=kernel)
    out = bind(table, frame, order=order)
    terms = []
    if type(table_dot) is not ad.Zero:
        terms.append(bind(table_dot, frame, order=order))
    if type(frame_dot) is not ad.Zero:
        for axis in range(3):
            slope = bind(table, frame, order=_raised(order, axis))
            terms.append(slope * _moved(frame_dot, axis, size))
    return out, functools.reduce(jnp.add, terms) if terms else ad.Zero.from_primal_value(out)


def _back_jvp(primals, tangents, *, shape, kernel, order):
    (planes, frame), (planes_dot, frame_dot) = primals, tangents
    bind = functools.partial(_back_p.bind, shape=shape, kernel=kernel)
    out = bind(planes, frame, order=order)
    terms = []
    if type(planes_dot) is not ad.Zero:
        terms.append(bind(planes_dot, frame, order=order))
    if type(frame_dot) is not ad.Zero:
        for axis in range(3):
            weighted = planes * _moved(frame_dot, axis, planes.shape[-3])
            terms.append(bind(weighted, frame, order=_raised(order, axis)))
    return out, functools.reduce(jnp.add, terms) if terms else ad.Zero.from_primal_value(out)


def _slice_transpose(cotangent, table, frame, *, size, kernel, order):
    del size
    shape = tuple(table.aval.shape[:3])
    return _back_p.bind(cotangent, frame, shape=shape, kernel=kernel, order=order), None


def _back_transpose(cotangent, planes, frame, *, shape, kernel, order):
    del shape
    size = planes.aval.shape[-3]
    return _slice_p.bind(cotangent, frame, size=size, kernel=kernel, order=order), None


def _slice_batch(args, dims, *, size, kernel, order):
    (table, frame), (table_dim, frame_dim) = args, dims
    bind = functools.partial(_slice_p.bind, size=size, kernel=kernel, order=order)
    if table_dim is None:
        return bind(table, jnp.moveaxis(frame, frame_dim, 0)), 0
    table = jnp.moveaxis(table, table_dim, 0)
    if frame_dim is None:
        count, channels = table.shape[0], table.shape[-1]
        together = jnp.moveaxis(table, 0, 3).reshape(*table.shape[1:4], count * channels)
        out = bind(together, frame)
        return out.reshape(*out.shape[:-1], count, channels), out.ndim - 1
    frame = jnp.moveaxis(frame, frame_dim, 0)
    return jax.lax.map(lambda pair: bind(*pair), (table, frame)), 0


def _back_batch(args, dims, *, shape, kernel, order):
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    whole = tuple(
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args, dims, strict=True)
    )
    bind = functools.partial(_back_p.bind, shape=shape, kernel=kernel, order=order)
    return jax.lax.map(lambda pair: bind(*pair), whole), 0


def _primitive(name, implementation, static, shape_rule):
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(implementation, static_argnames=static))
    primitive.def_abstract_eval(shape_rule)
    mlir.register_lowering(primitive, mlir.lower_fun(implementation, multiple_results=False))
    return primitive


_slice_p = _primitive(
    "central_slice",
    _slice,
    ("size", "kernel", "order"),
    lambda table, frame, size, **_: jax.core.ShapedArray(
        (*frame.shape[:-2], size, size // 2 + 1, table.shape[-1]), table.dtype
    ),
)
_back_p = _primitive(
    "back_project",
    _back,
    ("shape", "kernel", "order"),
    lambda planes, frame, shape, **_: jax.core.ShapedArray(
        (*shape, planes.shape[-1]), planes.dtype
    ),
)
for _primitive_, _jvp, _transpose, _batch in (
    (_slice_p, _slice_jvp, _slice_transpose, _slice_batch),
    (_back_p, _back_jvp, _back_transpose, _back_batch),
):
    ad.primitive_jvps[_primitive_] = _jvp
    ad.primitive_transposes[_primitive_] = _transpose
    batching.primitive_batchers[_primitive_] = _batch
