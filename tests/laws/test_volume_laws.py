"""What every volume obeys; a new file in `cryojax_het/volumes` with an `example` is found here."""

import importlib
import pkgutil
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


@pytest.fixture(scope="module", params=list(_examples()))
def case(request):
    volume = request.param(jax.random.key(0), GRID)
    latents = 0.4 * jax.random.normal(jax.random.key(1), (8, volume.latent_size))
    rotations = jnp.asarray(Rotation.random(8, rng=np.random.default_rng(2)).as_matrix())
    views = slices(volume, latents, rotations, GRID)
    noise = jax.random.normal(jax.random.key(3), (2, *views.shape))
    strength = jnp.sqrt(jnp.mean(jnp.abs(views) ** 2))
    return Case(volume, latents, rotations, strength * jax.lax.complex(*noise))


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


def test_a_batch_is_its_images(case):
    together = slices(case.volume, case.latents, case.rotations, GRID)
    for i in (0, 5):
        one = slices(case.volume, case.latents[i : i + 1], case.rotations[i : i + 1], GRID)[0]
        assert_close(together[i], one, 1e-10)


def misfit(volume, latents, turns, case):
    rotations = jax.vmap(lambda w, rotation: exp(w) @ rotation)(turns, case.rotations)
    views = jax.vmap(lambda z, rotation: volume.slice(z, rotation, GRID))(latents, rotations)
    squares = lambda planes: jnp.sum(GRID.weights() * jnp.abs(planes) ** 2)
    return squares(views - case.targets) / squares(case.targets)


def test_gradients_are_finite_differences(case):
    few = case._replace(
        latents=case.latents[:2], rotations=case.rotations[:2], targets=case.targets[:2]
    )
    leaves, static = eqx.partition(case.volume, eqx.is_inexact_array)
    loss = lambda leaves, latents, turns: misfit(eqx.combine(leaves, static), latents, turns, few)
    point = (leaves, few.latents, jnp.zeros((2, 3)))
    value = jax.jit(loss)
    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*point)
    flat, tree = jax.tree.flatten(point)
    slopes = jax.tree.leaves(gradient)
    assert len(flat) == len(slopes)
    for i, (leaf, slope) in enumerate(zip(flat, slopes, strict=True)):
        assert np.isfinite(slope).all()
        if leaf.size == 0:
            continue
        direction = jax.random.normal(jax.random.key(i), leaf.shape, leaf.real.dtype).astype(
            leaf.dtype
        )
        step = 1e-6 * max(float(jnp.sqrt(jnp.mean(jnp.abs(leaf) ** 2))), 0.1)
        plus, minus = (
            value(*tree.unflatten([*flat[:i], leaf + h * direction, *flat[i + 1 :]]))
            for h in (step, -step)
        )
        numeric = float(plus - minus) / (2 * step)
        exact = float(jnp.sum(slope * direction).real)
        bound = float(jnp.linalg.norm(slope) * jnp.linalg.norm(direction))
        assert exact == pytest.approx(numeric, rel=1e-4, abs=1e-5 * bound + 1e-9)
    for part in gradient:
        if jax.tree.leaves(part) and sum(leaf.size for leaf in jax.tree.leaves(part)):
            assert any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(part))


def test_a_new_pixel_size_does_not_compile_again(case):
    traces = []

    @eqx.filter_jit
    def view(volume, latent, rotation, grid):
        traces.append(grid)
        return volume.prepare(grid).slice(latent, rotation, grid)

    for pixel_size in (1.4, 1.7, 0.9):
        view(case.volume, case.latents[0], case.rotations[0], FourierGrid(20, pixel_size))
    assert len(traces) == 1


def test_sharded_loss_and_gradient_are_those_of_one_device(case):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    by_image = NamedSharding(mesh, PartitionSpec("data"))
    everywhere = NamedSharding(mesh, PartitionSpec())
    leaves, static = eqx.partition(case.volume, eqx.is_inexact_array)

    @jax.jit
    def loss_and_gradient(leaves, latents, rotations, targets):
        def loss(leaves, latents):
            ready = eqx.combine(leaves, static).prepare(GRID)
            one = lambda z, rotation, target: jnp.sum(
                GRID.weights() * jnp.abs(ready.slice(z, rotation, GRID) - target) ** 2
            )
            return jnp.mean(jax.vmap(one)(latents, rotations, targets))

        return jax.value_and_grad(loss, argnums=(0, 1))(leaves, latents)

    images = (case.latents, case.rotations, case.targets)
    single = loss_and_gradient(leaves, *images)
    shards = jax.device_put(images, by_image)
    assert len(shards[1].sharding.device_set) == 4
    several = loss_and_gradient(jax.device_put(leaves, everywhere), *shards)
    for one, four in zip(jax.tree.leaves(single), jax.tree.leaves(several), strict=True):
        np.testing.assert_allclose(four, one, atol=1e-6 * float(jnp.abs(one).max(initial=0)))


def as_single(tree):
    """Every float32 or complex64, though x64 is on."""
    dtypes = {jnp.dtype("float64"): jnp.float32, jnp.dtype("complex128"): jnp.complex64}
    cast = lambda leaf: leaf.astype(dtypes.get(leaf.dtype, leaf.dtype))
    return jax.tree.map(cast, tree)


def test_single_precision_stays(case):
    volume, latent, rotation = as_single((case.volume, case.latents[0], case.rotations[0]))
    target = as_single(case.targets[0])

    def loss(arguments, grid):
        volume, latent, rotation = arguments
        view = volume.prepare(grid).slice(latent, rotation, grid)
        return jnp.sum(jnp.abs(view - target) ** 2), view

    gradient, view = eqx.filter_jit(eqx.filter_grad(loss, has_aux=True))(
        (volume, latent, rotation), SINGLE
    )
    assert view.dtype == jnp.complex64
    assert density(volume, latent, SINGLE).dtype == jnp.float32
    for leaf in jax.tree.leaves((prepared(volume, SINGLE), gradient)):
        if eqx.is_inexact_array(leaf):
            assert leaf.dtype in (jnp.float32, jnp.complex64)
    double = slices(case.volume, case.latents[:1], case.rotations[:1], GRID)[0]
    assert_close(view, double, 1e-4)
