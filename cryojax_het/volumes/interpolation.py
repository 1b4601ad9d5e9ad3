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

A table is complex, or real with the real and imaginary parts of each channel side by side, which
many channels prefer: one contiguous row of floats per tap. Slices of a real table come likewise.

Inside, slices have a leading axis of `orders`, the derivatives along the table's (x, y, z) that are
wanted: the value and its three slopes, as a gradient in the pose needs, share their taps.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float, Inexact

from ..imaging.grid import inside_circle, row_numbers
from .kernel import Kernel
from .taps import MARGIN as MARGIN
from .taps import circle_points, plane_points, scatter_rows, taps

_VALUE = ((0, 0, 0),)
_IMAGES = 16  # whose samples are held in memory at once where several orders share them


def central_slice(
    table: Inexact[Array, "z y x c"], frame: Float[Array, "*b 2 3"], size: int, kernel: Kernel
) -> Inexact[Array, "*b n h c"]:
    """Half-plane of each channel of `table` on the plane of `frame`."""
    return _slice_p.bind(table, frame, size=size, kernel=kernel, orders=_VALUE)[0]


def back_project(
    planes: Inexact[Array, "*b n h c"],
    frame: Float[Array, "*b 2 3"],
    shape: tuple[int, int, int],
    kernel: Kernel,
) -> Inexact[Array, "z y x c"]:
    """Transpose of `central_slice` for a table of `shape`: every plane laid down, and summed.

    As in all JAX transposes no conjugate is taken: the adjoint with respect to `Re⟨·,·⟩` is
    `back_project(planes.conj(), ...).conj()`.
    """
    return _back_p.bind(planes[None], frame, shape=tuple(shape), kernel=kernel, orders=_VALUE)


def _slice(table, frame, *, size, kernel, orders):
    if len(orders) == 1:
        return _read_once(table, frame, size, kernel, orders[0])[None]
    several = lambda one: _read_for_all(table, one, size, kernel, orders)
    if frame.ndim == 2:
        return several(frame)
    batch = frame.shape[:-2]
    frame = frame.reshape(-1, 2, 3)
    if len(frame) <= _IMAGES:
        out = jax.vmap(several)(frame)
    else:
        out = jax.lax.map(several, frame, batch_size=_IMAGES)
    out = jnp.moveaxis(out, 1, 0)
    return out.reshape(len(orders), *batch, *out.shape[2:])


def _read_once(table, frame, size, kernel, order):
    """One derivative, its samples summed as they are read."""
    first, weights, sign = taps(_half_points(frame, size), table.shape, kernel, order)
    cells = table.reshape(-1, table.shape[-1])
    read = lambda step: cells.at[first + step].get(mode="promise_in_bounds")
    steps = _steps(table.shape, kernel)
    total = sum(
        (weights[2][z] * weights[1][y] * weights[0][x])[..., None] * read(steps[z, y, x])
        for z, y, x in np.ndindex(steps.shape)
    )
    return _finished(total, sign, size)


def _read_for_all(table, frame, size, kernel, orders):
    """Several derivatives of one slice, `[order, y, x, c]`. The samples are read once, into memory:
    shared directly, each of the taps would be compiled to a loop of its own."""
    geometry = [taps(_half_points(frame, size), table.shape, kernel, order) for order in orders]
    first, _, sign = geometry[0]
    cells = table.reshape(-1, table.shape[-1])
    steps = _steps(table.shape, kernel)
    samples = cells.at[first + steps.reshape(-1, 1, 1)].get(mode="promise_in_bounds")
    samples = samples.reshape(*steps.shape, *samples.shape[1:])
    outs = []
    for _, (wx, wy, wz), _ in geometry:
        along_x = lambda z, y, w=wx: sum(w[x][..., None] * samples[z, y, x] for x in range(len(w)))
        along_y = lambda z, w=wy, f=along_x: sum(w[y][..., None] * f(z, y) for y in range(len(w)))
        total = sum(wz[z][..., None] * along_y(z) for z in range(len(wz)))
        outs.append(_finished(total, sign, size))
    return jnp.stack(outs)


def _half_points(frame, size):
    # Corners of the half-plane are computed and masked: a gather that packed and unpacked the
    # circle costs as much as the 22 % it saves. The Nyquist column is outside the circle.
    return plane_points(frame, np.arange(size // 2), row_numbers(size)[:, None])


def _steps(shape, kernel):
    """From the first tap to each, as flat indices `[z, y, x]`."""
    tap = np.arange(kernel.width)
    return (tap[:, None, None] * shape[1] + tap[:, None]) * shape[2] + tap


def _finished(total, sign, size):
    """Conjugated where the opposite point was read, zero outside the circle."""
    inside = jnp.asarray(inside_circle(size)[:, : size // 2, None], sign.dtype)
    real, imag = inside, sign[..., None] * inside
    if jnp.iscomplexobj(total):
        out = jax.lax.complex(total.real * real, total.imag * imag)
    else:
        out = total * jnp.where(np.arange(total.shape[-1]) % 2 == 0, real, imag)
    return jnp.pad(out, [(0, 0)] * (out.ndim - 2) + [(0, 1), (0, 0)])


def _back(planes, frame, *, shape, kernel, orders):
    if jnp.iscomplexobj(planes):
        pairs = jnp.stack([planes.real, planes.imag], axis=-1)
        pairs = pairs.reshape(*planes.shape[:-1], -1)
        table = _back(pairs, frame, shape=shape, kernel=kernel, orders=orders)
        table = table.reshape(*shape, -1, 2)
        return jax.lax.complex(table[..., 0], table[..., 1])
    rows, columns = np.nonzero(inside_circle(planes.shape[-3]))
    points = circle_points(frame, planes.shape[-3])
    table = jnp.zeros((*shape, planes.shape[-1]), planes.dtype)
    for plane, order in zip(planes, orders, strict=True):
        first, weights, sign = taps(points, shape, kernel, order)
        odd = np.arange(planes.shape[-1]) % 2 == 1
        values = plane[..., rows, columns, :] * jnp.where(odd, sign[..., None], 1)
        table = scatter_rows(values, first, weights, table)
    return table


def _raised(orders, axis):
    return tuple(tuple(o + (a == axis) for a, o in enumerate(order)) for order in orders)


def _moved(frame_dot, axis, size):
    """How far each frequency's point moves along `axis` when the frame does."""
    kx, ky = np.arange(size // 2 + 1), row_numbers(size)[:, None]
    return plane_points(frame_dot, kx, ky)[axis][..., None]


def _slice_jvp(primals, tangents, *, size, kernel, orders):
    (table, frame), (table_dot, frame_dot) = primals, tangents
    bind = functools.partial(_slice_p.bind, size=size, kernel=kernel)
    terms = []
    if type(table_dot) is not ad.Zero:
        terms.append(bind(table_dot, frame, orders=orders))
    if type(frame_dot) is ad.Zero:
        out = bind(table, frame, orders=orders)
    else:
        every = sum((_raised(orders, axis) for axis in range(3)), orders)
        out, *slopes = jnp.split(bind(table, frame, orders=every), 4)
        terms += [slopes[axis] * _moved(frame_dot, axis, size) for axis in range(3)]
    return out, functools.reduce(jnp.add, terms)


def _back_jvp(primals, tangents, *, shape, kernel, orders):
    (planes, frame), (planes_dot, frame_dot) = primals, tangents
    bind = functools.partial(_back_p.bind, shape=shape, kernel=kernel)
    out = bind(planes, frame, orders=orders)
    terms = []
    if type(planes_dot) is not ad.Zero:
        terms.append(bind(planes_dot, frame, orders=orders))
    if type(frame_dot) is not ad.Zero:
        for axis in range(3):
            weighted = planes * _moved(frame_dot, axis, planes.shape[-3])
            terms.append(bind(weighted, frame, orders=_raised(orders, axis)))
    return out, functools.reduce(jnp.add, terms)


def _slice_transpose(cotangent, table, frame, *, size, kernel, orders):
    del size
    shape = tuple(table.aval.shape[:3])
    return _back_p.bind(cotangent, frame, shape=shape, kernel=kernel, orders=orders), None


def _back_transpose(cotangent, planes, frame, *, shape, kernel, orders):
    del shape
    size = planes.aval.shape[-3]
    return _slice_p.bind(cotangent, frame, size=size, kernel=kernel, orders=orders), None


def _slice_batch(args, dims, *, size, kernel, orders):
    (table, frame), (table_dim, frame_dim) = args, dims
    bind = functools.partial(_slice_p.bind, size=size, kernel=kernel, orders=orders)
    if table_dim is None:
        return bind(table, jnp.moveaxis(frame, frame_dim, 0)), 1
    table = jnp.moveaxis(table, table_dim, 0)
    if frame_dim is None:
        count, channels = table.shape[0], table.shape[-1]
        together = jnp.moveaxis(table, 0, 3).reshape(*table.shape[1:4], count * channels)
        out = bind(together, frame)
        return out.reshape(*out.shape[:-1], count, channels), out.ndim - 1
    frame = jnp.moveaxis(frame, frame_dim, 0)
    return jax.lax.map(lambda pair: bind(*pair), (table, frame)), 0


def _back_batch(args, dims, *, shape, kernel, orders):
    size = next(a.shape[d] for a, d in zip(args, dims, strict=True) if d is not None)
    whole = tuple(
        jnp.broadcast_to(a, (size, *a.shape)) if d is None else jnp.moveaxis(a, d, 0)
        for a, d in zip(args, dims, strict=True)
    )
    bind = functools.partial(_back_p.bind, shape=shape, kernel=kernel, orders=orders)
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
    ("size", "kernel", "orders"),
    lambda table, frame, size, orders, **_: ShapedArray(
        (len(orders), *frame.shape[:-2], size, size // 2 + 1, table.shape[-1]), table.dtype
    ),
)
_back_p = _primitive(
    "back_project",
    _back,
    ("shape", "kernel", "orders"),
    lambda planes, frame, shape, **_: ShapedArray((*shape, planes.shape[-1]), planes.dtype),
)
for _primitive_, _jvp, _transpose, _batch in (
    (_slice_p, _slice_jvp, _slice_transpose, _slice_batch),
    (_back_p, _back_jvp, _back_transpose, _back_batch),
):
    ad.primitive_jvps[_primitive_] = _jvp
    ad.primitive_transposes[_primitive_] = _transpose
    batching.primitive_batchers[_primitive_] = _batch
