"""What every volume obeys; a new file in `cryojax_het/volumes` with an `example` is found here."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy.spatial.transform import Rotation

from cryojax_het import volumes
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.rotation import exp
from cryojax_het.volumes.base import AbstractVolume

GRID = FourierGrid(20, 1.4)
SINGLE = FourierGrid(20, jnp.float32(1.4))


def _examples():
    for info in pkgutil.iter_modules(volumes.__path__):
        module = importlib.import_module(f"{volumes.__name__}.{info.name}")
        example = getattr(module, "example", None)
        if example is not None:
            yield pytest.param(example, id=info.name)


class Case(NamedTuple):
    volume: AbstractVolume
    latents: jax.Array  # [8, d]
    rotations: jax.Array  # [8, 3, 3]
    targets: jax.Array  # [8, y, x], about as strong as a slice
    loss_and_gradient: Callable  # of the leaves, latents and small turns; see `misfit`

    def problem(self):
        """What `loss_and_gradient` is called with; images lie along the first axis."""
        leaves = eqx.filter(self.volume, eqx.is_inexact_array)
        return leaves, self.latents, jnp.zeros((8, 3)), self.rotations, self.targets


def loss_of(volume, prepare=lambda volume: volume.prepare(GRID)):
    """The misfit and its gradient as a fit takes them, one program for all who ask."""
    static = eqx.partition(volume, eqx.is_inexact_array)[1]

    def misfit(leaves, latents, turns, rotations, targets):
        ready = prepare(eqx.combine(leaves, static))
        one = lambda z, w, rotation: ready.slice(z, exp(w) @ rotation, GRID)
        views = jax.vmap(one)(latents, turns, rotations)
        squares = lambda planes: jnp.sum(GRID.weights() * jnp.abs(planes) ** 2)
        return squares(views - targets) / squares(targets)

    return jax.jit(jax.value_and_grad(misfit, argnums=(0, 1, 2)))


@pytest.fixture(scope="module", params=list(_examples()))
def case(request):
    volume = request.param(jax.random.key(0), GRID)
    latents = 0.4 * jax.random.normal(jax.random.key(1), (8, volume.latent_size))
    rotations = jnp.asarray(Rotation.random(8, rng=np.random.default_rng(2)).as_matrix())
    views = slices(volume, latents, rotations, GRID)
    noise = jax.random.normal(jax.random.key(3), (2, *views.shape))
    strength = jnp.sqrt(jnp.mean(jnp.abs(views) ** 2))
    targets = strength * jax.lax.complex(*noise)
    return Case(volume, latents, rotations, targets, loss_of(volume))


@eqx.filter_jit
def slices(volume, latents, rotations, grid):
    return jax.vmap(lambda z, rotation: volume.slice(z, rotation, grid))(latents, rotations)


@eqx.filter_jit
def density(volume, latent, grid):
    return volume.density(latent, grid)


@eqx.filter_jit
def prepared(volume, grid):
    return volume.prepare(grid)


def norm(plane):
    return float(jnp.sqrt(jnp.sum(GRID.weights() * jnp.abs(plane) ** 2)))


def assert_close(got, expected, relative):
    assert norm(got - expected) <= relative * norm(expected)


def test_slices_are_half_planes_of_real_images(case):
    views = slices(case.volume, case.latents, case.rotations, GRID)
    assert views.shape == (8, 20, 11)
    assert jnp.iscomplexobj(views)
    assert np.isfinite(views).all()
    rows = np.arange(1, 10)
    np.testing.assert_allclose(
        views[:, -rows, 0], views[:, rows, 0].conj(), atol=1e-9 * float(jnp.abs(views).max())
    )
    assert np.abs(views[:, 0, 0].imag).max() <= 1e-9 * float(jnp.abs(views).max())


def test_nothing_is_outside_the_nyquist_circle(case):
    views = np.asarray(slices(case.volume, case.latents, case.rotations, GRID))
    assert not views[:, ~GRID.inside()].any()
    assert views[:, GRID.inside()].any()


def test_fourier_slice_theorem(case):
    """A slice is the direct sum of the density's voxels over waves in the plane."""
    latent = case.latents[0]
    voxels = np.asarray(density(case.volume, latent, GRID))
    assert voxels.shape == (20, 20, 20)
    r = (np.arange(20) - 10) * 1.4
    views = np.asarray(slices(case.volume, jnp.stack([latent] * 8), case.rotations, GRID))
    inside = np.asarray(GRID.inside())
    for rotation, view in zip(case.rotations[:3], views, strict=False):
        k = np.asarray(GRID.plane(rotation))[inside]
        waves = [np.exp(-2j * np.pi * k[:, axis, None] * r) for axis in (2, 1, 0)]
        direct = np.zeros(inside.shape, complex)
        direct[inside] = np.einsum("zyx,kz,ky,kx->k", voxels, *waves, optimize=True) * 1.4**3
        assert_close(view, direct, 2e-2)


def test_preparation_is_the_identity(case):
    ready = prepared(case.volume, GRID)
    assert ready.latent_size == case.volume.latent_size
    expected = slices(case.volume, case.latents, case.rotations, GRID)
    assert_close(slices(ready, case.latents, case.rotations, GRID), expected, 1e-10)
    twice = prepared(ready, GRID)
    assert_close(slices(twice, case.latents, case.rotations, GRID), expected, 1e-10)
    np.testing.assert_allclose(
        density(ready, case.latents[0], GRID),
        density(case.volume, case.latents[0], GRID),
        atol=1e-10,
    )


def test_half_a_turn_about_the_beam_conjugates(case):
    turned = jnp.diag(jnp.array([-1.0, -1.0, 1.0])) @ case.rotations
    expected = slices(case.volume, case.latents, case.rotations, GRID).conj()
    assert_close(slices(case.volume, case.latents, turned, GRID), expected, 1e-9)


def test_images_of_a_batch_are_each_on_its_own(case):
    together = slices(case.volume, case.latents, case.rotations, GRID)
    turned = slices(case.volume, *(jnp.roll(x, 3, axis=0) for x in case[1:3]), GRID)
    assert_close(turned, jnp.roll(together, 3, axis=0), 1e-10)


def finite_difference(value, point, i, direction):
    """Along `direction` of leaf `i`, by central differences."""
    flat, tree = jax.tree.flatten(point)
    step = 1e-6 * max(float(np.sqrt(np.mean(np.abs(flat[i]) ** 2))), 0.1)
    plus, minus = (
        value(*tree.unflatten([*flat[:i], flat[i] + h * direction, *flat[i + 1 :]]))
        for h in (step, -step)
    )
    return float(plus - minus) / (2 * step)


def check_gradients(case, loss_and_gradient):
    leaves, *images = case.problem()
    _, gradient = loss_and_gradient(leaves, *images)
    value = lambda *point: loss_and_gradient(*point, *images[2:])[0]
    point = jax.tree.map(np.asarray, (leaves, *images[:2]))
    slopes = jax.tree.leaves(jax.tree.map(np.asarray, gradient))
    rng = np.random.default_rng(0)
    for i, (leaf, slope) in enumerate(zip(jax.tree.leaves(point), slopes, strict=True)):
        assert np.isfinite(slope).all()
        if leaf.size == 0:
            continue
        direction = rng.normal(size=leaf.shape).astype(leaf.dtype)
        numeric = finite_difference(value, point, i, direction)
        exact = float(np.sum(slope * direction).real)
        bound = float(np.linalg.norm(slope) * np.linalg.norm(direction))
        assert exact == pytest.approx(numeric, rel=1e-4, abs=1e-5 * bound + 1e-9)
    for part in gradient:
        if jax.tree.leaves(part) and sum(leaf.size for leaf in jax.tree.leaves(part)):
            assert any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(part))


def test_gradients_are_finite_differences(case):
    check_gradients(case, case.loss_and_gradient)


def test_gradients_without_preparation_are_finite_differences(case):
    ready = eqx.filter_eval_shape(prepared, case.volume, GRID)
    if jax.tree.structure(ready) != jax.tree.structure(case.volume):  # else it is the same program
        check_gradients(case, loss_of(case.volume, prepare=lambda volume: volume))


def test_a_new_pixel_size_does_not_compile_again(case):
    traces = []

    @eqx.filter_jit
    def view(volume, latent, rotation, grid):
        traces.append(grid)
        return volume.prepare(grid).slice(latent, rotation, grid)

    first, *_ = (
        view(case.volume, case.latents[0], case.rotations[0], FourierGrid(20, pixel_size))
        for pixel_size in (1.4, 1.7, 0.9)
    )
    assert len(traces) == 1
    # And one image alone is as it is in a batch.
    assert_close(first, slices(case.volume, case.latents, case.rotations, GRID)[0], 1e-10)


def test_sharded_loss_and_gradient_are_those_of_one_device(case):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    by_image = NamedSharding(mesh, PartitionSpec("data"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    leaves, *images = case.problem()
    single = case.loss_and_gradient(leaves, *images)
    shards = jax.device_put(images, by_image)
    assert len(shards[1].sharding.device_set) == 4
    several = case.loss_and_gradient(jax.device_put(leaves, everywhere), *shards)
    for one, four in zip(jax.tree.leaves(single), jax.tree.leaves(several), strict=True):
        np.testing.assert_allclose(four, one, atol=1e-6 * float(np.abs(one).max(initial=0)))


def as_single(tree):
    """Every float32 or complex64, though x64 is on."""
    dtypes = {jnp.dtype("float64"): jnp.float32, jnp.dtype("complex128"): jnp.complex64}
    cast = lambda leaf: leaf.astype(dtypes.get(leaf.dtype, leaf.dtype))
    return jax.tree.map(cast, tree)


def test_single_precision_stays(case):
    volume, latent, rotation = as_single((case.volume, case.latents[0], case.rotations[0]))
    target = as_single(case.targets[0])

    def view(volume, latent, rotation, grid):
        return volume.prepare(grid).slice(latent, rotation, grid)

    loss = lambda arguments, grid: jnp.sum(jnp.abs(view(*arguments, grid) - target) ** 2)
    # Types are known before anything runs.
    shape = eqx.filter_eval_shape
    gradient = shape(eqx.filter_grad(loss), (volume, latent, rotation), SINGLE)
    assert shape(density, volume, latent, SINGLE).dtype == jnp.float32
    for leaf in jax.tree.leaves((shape(prepared, volume, SINGLE), gradient)):
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact):
            assert leaf.dtype in (jnp.float32, jnp.complex64)
    found = eqx.filter_jit(view)(volume, latent, rotation, SINGLE)
    assert found.dtype == jnp.complex64
    double = slices(case.volume, case.latents, case.rotations, GRID)[0]
    assert_close(found, double, 1e-4)
