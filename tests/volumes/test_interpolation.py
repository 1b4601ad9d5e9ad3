"""`central_slice` against loops over taps of the full spectrum, and its derivatives."""

import functools
import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.spatial.transform import Rotation

from cryojax_het.volumes.interpolation import back_project, central_slice
from cryojax_het.volumes.kernel import cubic, quadratic
from cryojax_het.volumes.voxels import with_margin

KERNELS = pytest.mark.parametrize("kernel", [quadratic(), cubic()], ids=["quadratic", "cubic"])
SIDE, SIZE = 10, 8


def spectrum(seed=0, side=SIDE):
    return np.fft.fftn(np.random.default_rng(seed).normal(size=(side,) * 3))


def table_of(full):
    return with_margin(jnp.asarray(full[:, :, : full.shape[0] // 2 + 1]))


def some_table(channels=1, seed=0, side=SIDE):
    tables = [table_of(spectrum(seed + c, side)) for c in range(channels)]
    return jnp.stack(tables, axis=-1)


def some_frames(count=3, scale=SIDE / SIZE * 0.97):
    rotations = Rotation.random(count, rng=np.random.default_rng(1)).as_matrix()
    return jnp.asarray(scale * rotations[:, :2])


def by_loops(full, frame, size, kernel):
    """One plane, tap by tap, over the periodic spectrum `[kz, ky, kx]` with no half-table."""
    side, width = len(full), kernel.width
    out = np.zeros((size, size // 2 + 1), complex)
    polynomials = [np.polynomial.Polynomial(row) for row in kernel.weights()]
    for row, ky in enumerate(np.fft.fftfreq(size, 1 / size)):
        for kx in range(size // 2 + 1):
            point = kx * frame[0] + ky * frame[1]
            if kx**2 + ky**2 >= (size / 2) ** 2 or np.abs(point).max() > side / 2:
                continue
            nearest = np.floor(point + 0.5) if width % 2 else np.floor(point)
            offset = point - nearest - (0 if width % 2 else 0.5)
            first = nearest.astype(int) - (width - 1) // 2
            for x, y, z in itertools.product(range(width), repeat=3):
                weight = np.prod(
                    [polynomials[t](o) for t, o in zip((x, y, z), offset, strict=True)]
                )
                index = tuple((first + np.array([x, y, z]))[::-1] % side)
                out[row, kx] += weight * full[index]
    return out


@KERNELS
@pytest.mark.parametrize("scale", [0.6, 1.2, 2.0])
def test_slices_are_sums_over_taps_and_zero_out_of_range(kernel, scale):
    full = spectrum()
    for frame in some_frames(3, scale):
        got = central_slice(table_of(full)[..., None], frame, SIZE, kernel)[..., 0]
        expected = by_loops(full, np.asarray(frame), SIZE, kernel)
        np.testing.assert_allclose(got, expected, atol=1e-11)
    if scale == 2.0:
        assert (expected == 0).sum() > (
            by_loops(full, np.asarray(frame) / 2, SIZE, kernel) == 0
        ).sum()


def real_dot(a, b):
    return float(jnp.sum(a.real * b.real + a.imag * b.imag))


@KERNELS
@pytest.mark.parametrize(("dtype", "tolerance"), [("complex128", 1e-12), ("complex64", 1e-5)])
@pytest.mark.parametrize("channels", [1, 2])
def test_back_projection_is_the_exact_adjoint(kernel, dtype, tolerance, channels):
    table = some_table(channels).astype(dtype)
    frames = some_frames().astype(table.real.dtype)
    planes = central_slice(table, frames, SIZE, kernel)
    assert planes.dtype == dtype
    other = jax.random.normal(jax.random.key(0), (2, *planes.shape), table.real.dtype)
    other = jax.lax.complex(*other)
    back = back_project(other.conj(), frames, table.shape[:3], kernel).conj()
    assert back.dtype == dtype
    assert back.shape == table.shape
    left, right = real_dot(planes, other), real_dot(table, back)
    size = float(jnp.linalg.norm(planes) * jnp.linalg.norm(other))
    assert abs(left - right) < tolerance * size


@KERNELS
def test_transposition_of_the_table_is_back_projection(kernel):
    table, frames = some_table(), some_frames()
    slices = lambda t: central_slice(t, frames, SIZE, kernel)
    planes = slices(table) * (1 + 0.5j)
    (transposed,) = jax.linear_transpose(slices, table)(planes)
    expected = back_project(planes, frames, table.shape[:3], kernel)
    np.testing.assert_allclose(transposed, expected, atol=1e-12)


# Not compiled as a whole: the primitive compiles once for each order of derivative by itself.
def slice_loss(kernel, target, real, imag, frame):
    table, frame = jax.lax.complex(*map(jnp.asarray, (real, imag))), jnp.asarray(frame)
    planes = central_slice(table, frame, SIZE, kernel) / 10
    return jnp.sum((planes.real - target) ** 2) + jnp.sum((planes.imag + target) ** 3)


@KERNELS
def test_derivatives_of_slices_both_ways(kernel):
    table, frame = some_table(2), some_frames(1)[0]
    target = jax.random.normal(jax.random.key(3), (SIZE, SIZE // 2 + 1, 2))
    loss = functools.partial(slice_loss, kernel, target)
    arguments = (table.real, table.imag, frame)
    check_grads(loss, arguments, order=1, modes=("fwd", "rev"), eps=1e-6, atol=1e-4, rtol=1e-5)


def test_second_derivatives_of_slices():
    table, frame = some_table(1), some_frames(1)[0]
    target = jax.random.normal(jax.random.key(3), (SIZE, SIZE // 2 + 1, 1))
    loss = functools.partial(slice_loss, quadratic(), target)
    arguments = (table.real, table.imag, frame)
    directions = [jax.random.normal(jax.random.key(i), a.shape) for i, a in enumerate(arguments)]
    gradient = jax.grad(loss, argnums=(0, 1, 2))
    curvature = jax.jvp(gradient, arguments, tuple(directions))[1]
    step = 1e-6
    ends = [
        gradient(*(a + sign * step * d for a, d in zip(arguments, directions, strict=True)))
        for sign in (1, -1)
    ]
    for exact, plus, minus in zip(curvature, *ends, strict=True):
        numeric = (plus - minus) / (2 * step)
        scale = float(jnp.abs(exact).max())
        np.testing.assert_allclose(numeric, exact, atol=1e-6 * scale)


def test_derivatives_of_back_projection_both_ways():
    shape, frames = some_table().shape[:3], some_frames(2)
    planes = jax.random.normal(jax.random.key(4), (2, 2, SIZE, SIZE // 2 + 1, 1))
    weight = jax.random.normal(jax.random.key(5), (2, *shape, 1))

    def loss(real, imag, frames):
        planes = jax.lax.complex(*map(jnp.asarray, (real, imag)))
        table = back_project(planes, jnp.asarray(frames), shape, quadratic())
        return jnp.sum(weight[0] * table.real**2) + jnp.sum(weight[1] * table.imag * table.real)

    check_grads(
        loss, (*planes, frames), order=1, modes=("fwd", "rev"), eps=1e-6, atol=1e-4, rtol=1e-5
    )


def test_many_frames_are_as_one_at_a_time():
    table, frames = some_table(2), some_frames(4).reshape(2, 2, 2, 3)
    one = lambda frame: central_slice(table, frame, SIZE, quadratic())
    together = one(frames)
    assert together.shape == (2, 2, SIZE, SIZE // 2 + 1, 2)
    for i, j in np.ndindex(2, 2):
        np.testing.assert_allclose(together[i, j], one(frames[i, j]), atol=1e-13)
    np.testing.assert_allclose(jax.vmap(jax.vmap(one))(frames), together, atol=1e-13)


def test_tables_batched_under_one_pose_are_channels_and_share_their_taps():
    tables = jnp.stack([some_table(2, seed=s) for s in (0, 5, 9)])
    frame = some_frames(1)[0]
    slices = jax.vmap(lambda table: central_slice(table, frame, SIZE, quadratic()))
    got = slices(tables)
    for i in range(3):
        np.testing.assert_allclose(
            got[i], central_slice(tables[i], frame, SIZE, quadratic()), atol=1e-13
        )
    program = str(jax.make_jaxpr(slices)(tables))
    assert program.count("central_slice[") == 1
    assert "scan[" not in program
    assert "while[" not in program


def test_tables_and_frames_batched_together():
    tables = jnp.stack([some_table(1, seed=s) for s in (0, 5, 9)])
    frames = some_frames(3)
    one = lambda table, frame: central_slice(table, frame, SIZE, quadratic())
    got = jax.jit(jax.vmap(one))(tables, frames)
    for i in range(3):
        np.testing.assert_allclose(got[i], one(tables[i], frames[i]), atol=1e-13)


def side_by_side(table):
    return jnp.stack([table.real, table.imag], axis=-1).reshape(*table.shape[:-1], -1)


@KERNELS
def test_a_real_table_is_the_complex_one_side_by_side(kernel):
    table, frames = some_table(2), some_frames(3)
    expected = side_by_side(central_slice(table, frames, SIZE, kernel))
    got = central_slice(side_by_side(table), frames, SIZE, kernel)
    np.testing.assert_allclose(got, expected, atol=1e-11)
    planes = jax.random.normal(jax.random.key(0), got.shape)
    back = back_project(planes, frames, table.shape[:3], kernel)
    assert real_dot(got, planes) == pytest.approx(real_dot(side_by_side(table), back), rel=1e-12)


def test_derivatives_of_a_real_table():
    table, frames = side_by_side(some_table(2)), some_frames(2)
    target = jax.random.normal(jax.random.key(3), (2, SIZE, SIZE // 2 + 1, 4))

    def loss(table, frames):
        planes = central_slice(jnp.asarray(table), jnp.asarray(frames), SIZE, quadratic()) / 10
        return jnp.sum((planes - target) ** 2)

    check_grads(
        loss, (table, frames), order=1, modes=("fwd", "rev"), eps=1e-6, atol=1e-4, rtol=1e-5
    )


def largest_array(program):
    """Most elements of any array named in a lowered program."""
    shapes = re.findall(r"tensor<((?:\d+x)+)", program)
    return max(int(np.prod([int(d) for d in shape.split("x") if d])) for shape in shapes)


def test_the_gradient_of_a_batch_makes_no_volume_per_image():
    side, size, batch = 16, 8, 64
    table, frames = some_table(side=side), some_frames(batch, side / size)
    targets = jnp.zeros((batch, size, size // 2 + 1), complex)

    def image_loss(table, frame, target):
        return jnp.sum(
            jnp.abs(central_slice(table, frame, size, quadratic())[..., 0] - target) ** 2
        )

    losses = jax.vmap(image_loss, in_axes=(None, 0, 0))
    gradient = jax.jit(jax.grad(lambda t: jnp.sum(losses(t, frames, targets))))
    lowered = gradient.lower(table)
    per_image = batch * table.size
    assert largest_array(lowered.as_text()) < per_image / 8
    # And what the compiler made of it holds no such temporary either.
    temporaries = lowered.compile().memory_analysis().temp_size_in_bytes
    assert temporaries < per_image * table.dtype.itemsize / 2
