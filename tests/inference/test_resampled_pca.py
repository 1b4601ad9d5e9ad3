"""Resampled PCA: groups alike in views, residuals, the noise floor, directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.mask import spherical_mask
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference import group_tables
from cryojax_het.inference.resampled_pca import (
    balanced_groups,
    group_maps,
    principal_directions,
    residual_images,
    without_covariance,
)
from cryojax_het.inference.updates.principal_volumes import shell_power
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.voxels import Voxels

from .linear_world import captured, planted


def test_groups_are_of_one_size_and_alike_in_views(tiny):
    rotation = np.asarray(tiny.latents(1000).rotation)
    groups = balanced_groups(rotation, 20, seed=0)
    assert set(np.bincount(groups)) == {50}
    # Means of the squared direction scatter less over groups than over random ones.
    square = rotation[:, 2] ** 2
    scatter = lambda g: np.std([square[g == k].mean(axis=0) for k in range(20)], axis=0).mean()
    random = np.random.default_rng(0).permutation(groups)
    assert scatter(groups) < 0.6 * scatter(random)
    assert not np.array_equal(groups, balanced_groups(rotation, 20, seed=1))


def test_residuals_are_what_the_mean_leaves(tiny):
    """At contrasts that the prior leaves free: nothing is left along the mean's image."""
    batch = tiny.batch(3)
    mean = Voxels(voxels=tiny.volume.density(jnp.zeros(0), tiny.grid), spacing=tiny.grid.pixel_size)
    prepared, noise = mean.prepare(tiny.grid), WhiteNoise.per_pixel(1.0, tiny.grid)
    contrast = (jnp.asarray(1.0), jnp.asarray(1e4))
    run = jax.jit(lambda b: residual_images(b, prepared, noise, contrast, tiny.grid))
    found = run(batch)
    np.testing.assert_allclose(found.latents.contrast, batch.latents.contrast, rtol=0.02)
    np.testing.assert_allclose(run(found).latents.contrast, 0, atol=1e-5)
    assert np.abs(found.images).max() < 0.1 * np.abs(batch.images).max()


def test_random_signs_keep_power_and_real_images(tiny):
    batch = tiny.batch(3)
    found = without_covariance(batch, jax.random.key(0))
    np.testing.assert_allclose(np.abs(found.images), np.abs(batch.images))
    images = jax.vmap(tiny.grid.to_image)(found.images)
    back = jax.vmap(tiny.grid.from_image)(images)
    inside = tiny.grid.inside()
    np.testing.assert_allclose(back[:, inside], found.images[:, inside], rtol=1e-6, atol=1e-8)
    other = without_covariance(batch, jax.random.key(1))
    assert not np.allclose(found.images, other.images)


def test_directions_are_those_of_the_dense_difference():
    rng = np.random.default_rng(0)
    maps, floor = rng.normal(size=(9, 3, 3, 3)), 0.7 * rng.normal(size=(6, 3, 3, 3))
    e, f = (maps - maps.mean(axis=0)).reshape(9, -1), floor.reshape(6, -1)
    dense = np.linalg.eigh(e.T @ e - 9 / 6 * f.T @ f)[1][:, ::-1][:, :2]
    found = principal_directions(maps, floor, 2).reshape(2, -1)
    np.testing.assert_allclose(np.abs(found @ dense), np.eye(2), atol=1e-8)


@pytest.fixture(scope="module")
def scatter(tiny):
    """Maps of the groups of a planted set, those of the floor, and the masked components."""
    known, count = planted(tiny, 800, snr=3.0), 80
    mask = jnp.asarray(spherical_mask(16, 6.5, 1.5))
    mean = Voxels(voxels=jnp.asarray(known.voxels[0]), spacing=tiny.grid.pixel_size)
    groups = balanced_groups(np.asarray(known.batch.latents.rotation), count, 0)
    contrast = (jnp.asarray(1.0), jnp.asarray(0.0))
    prepared = mean.prepare(tiny.grid)
    variance = 0.1 * np.asarray(shell_power(mean.voxels[None], tiny.grid.pixel_size))[0]

    def maps(change):
        images = lambda b: residual_images(b, prepared, known.noise, contrast, tiny.grid)
        residual = jax.jit(lambda b: change(images(b)))
        take = lambda rows: jax.tree.map(lambda x: x[rows], known.batch)
        batches = lambda plan: (residual(take(rows)) for rows in plan)
        how = (known.noise, tiny.grid, quadratic())
        return group_maps(group_tables.gather(batches, groups, count, 10, how), variance, mask)

    floor = maps(lambda batch: without_covariance(batch, jax.random.key(3)))
    return maps(lambda batch: batch), floor, known.voxels[1:] * np.asarray(mask)


def test_the_planted_directions_scatter_most(scatter):
    maps, floor, truth = scatter
    assert np.all(captured(principal_directions(maps, floor, 2), truth) > 0.45)  # blunt


def test_the_floor_has_less_power_along_them(scatter):
    maps, floor, truth = scatter
    along = lambda x: np.sum((x.reshape(len(x), -1) @ truth.reshape(2, -1).T) ** 2, axis=0)
    assert np.all(along(floor) < 0.5 * along(maps))
