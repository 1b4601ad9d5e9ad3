"""Voxels as points: the map they are of, exact waves, mass, and gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes import voxels as rigid
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.voxel_cloud import (
    VoxelCloud,
    example_points,
    voxel_cloud,
    voxels_within,
)
from cryojax_het.volumes.voxel_waves import as_waves
from cryojax_het.volumes.voxels import Voxels

GRID = FourierGrid(20, 1.4)
NONE = jnp.zeros(0)
ROTATION = jnp.asarray(Rotation.random(rng=np.random.default_rng(1)).as_matrix())
MAP = np.asarray(rigid.example(jax.random.key(0), GRID).voxels)
WINDOW = np.where(1e-5 * MAP.max() < MAP, 1.0, 0.0)
CLOUD = jax.tree.map(lambda x: x.astype(jnp.float64), voxel_cloud(MAP, WINDOW, 1.4))


def relative(got, expected):
    return float(jnp.linalg.norm(got - expected) / jnp.linalg.norm(expected))


def test_at_rest_it_is_the_map():
    density = CLOUD.density(NONE, GRID)
    np.testing.assert_allclose(density, MAP, atol=2e-4 * MAP.max())
    view = Voxels(jnp.asarray(MAP), GRID.pixel_size, cubic()).slice(NONE, ROTATION, GRID)
    assert relative(CLOUD.slice(NONE, ROTATION, GRID), view) < 2e-3


def test_only_the_mask_is_kept():
    window = np.zeros_like(MAP)
    window[8:12, 9, 10] = [0.5, 1, 1, 0]
    cloud = voxel_cloud(MAP, window, 1.4)
    np.testing.assert_allclose(cloud.amplitudes, MAP[8:11, 9, 10] * [0.5, 1, 1] * 1.4**3, rtol=1e-6)


def moved(key):
    positions, amplitudes = example_points(key, GRID)
    change = Change(0.6 * jax.random.normal(key, positions.shape), 0.1 * positions[:, 0])
    return VoxelCloud(positions, amplitudes), change


def test_waves_are_what_is_laid_down():
    cloud, change = moved(jax.random.key(2))
    waves = as_waves(cloud).changed(change)
    assert (
        relative(
            cloud.changed(change).slice(NONE, ROTATION, GRID), waves.slice(NONE, ROTATION, GRID)
        )
        < 5e-4
    )
    k = np.asarray(GRID.plane(ROTATION))
    phase = np.einsum("yxa,ja->yxj", k, waves.positions)
    direct = np.exp(-2j * np.pi * phase) @ np.asarray(waves.amplitudes) * GRID.inside()
    np.testing.assert_allclose(waves.slice(NONE, ROTATION, GRID), direct, atol=1e-9)


def test_moving_keeps_the_mass():
    cloud, change = moved(jax.random.key(3))
    change = Change(change.displacement)
    views = [c.slice(NONE, ROTATION, GRID)[0, 0] for c in (cloud, cloud.changed(change))]
    np.testing.assert_allclose(views[1], views[0], rtol=5e-4)
    total = jnp.sum(cloud.changed(change).density(NONE, GRID)) * 1.4**3
    np.testing.assert_allclose(total, jnp.sum(cloud.amplitudes), rtol=5e-4)


def test_gradients_are_those_of_the_exact_waves():
    """By places, masses and rotation; the law tests have them against finite differences."""
    cloud, change = moved(jax.random.key(4))
    target = cloud.changed(change).slice(NONE, ROTATION, GRID)

    @eqx.filter_jit
    def slope(points, rotation):
        loss = lambda p, r: jnp.sum(jnp.abs(p.slice(NONE, r, GRID) - target) ** 2)
        return jax.grad(lambda both: loss(*both))((points, rotation))

    own, turn = slope(cloud, ROTATION)
    exact, exact_turn = slope(as_waves(cloud), ROTATION)
    assert relative(own.positions, exact.positions) < 2e-3
    assert relative(own.amplitudes, exact.amplitudes) < 2e-3
    assert relative(turn, exact_turn) < 2e-3


@pytest.mark.parametrize("kind", [lambda x: x, as_waves])
def test_widths_are_refused(kind):
    cloud, change = moved(jax.random.key(5))
    with pytest.raises(ValueError, match="no width"):
        kind(cloud).changed(Change(change.displacement, None, change.amplitude))


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="zero everywhere"):
        voxels_within(np.zeros((8, 8, 8)), 1.0)


def test_voxels_are_where_they_are():
    window = np.zeros((8, 8, 8))
    window[5, 2, 3] = 0.1
    flat, positions = voxels_within(window, 2.0)
    np.testing.assert_array_equal(flat, [5 * 64 + 2 * 8 + 3])
    np.testing.assert_array_equal(positions, [[-2.0, -4.0, 2.0]])
