"""Weighted tables against reconstructions that weigh each image by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.group_tables import gather
from cryojax_het.inference.regression.bands import centres, voxels
from cryojax_het.inference.regression.cloud import LatentCloud
from cryojax_het.inference.regression.kernel_regression import KernelRegression, consensus_signal
from cryojax_het.inference.regression.shells import transforms
from cryojax_het.inference.regression.spectral import leading
from cryojax_het.inference.updates import wiener
from cryojax_het.inference.updates.block_equations import BlockEquations
from cryojax_het.inference.updates.normal_equations import NormalEquations
from cryojax_het.particles.source import make_particles
from cryojax_het.volumes.kernel import quadratic

SIZE, COUNT = 12, 24
GRID, NOISE, KERNEL = FourierGrid(SIZE, jnp.asarray(4.0)), WhiteNoise(jnp.asarray(3.0)), quadratic()


@pytest.fixture(scope="module")
def every():
    """All images as one batch; noise alone, as sums do not care."""
    rng = np.random.default_rng(0)
    particles = make_particles(COUNT, pixel_size=4.0, size=SIZE)
    rotation = jax.vmap(so3.random)(jax.random.split(jax.random.key(0), COUNT))
    latents = Latents(
        jnp.zeros((COUNT, 0)), rotation, jnp.asarray(rng.normal(size=(COUNT, 2))), jnp.ones(COUNT)
    )
    images = jax.vmap(GRID.from_image)(jnp.asarray(rng.normal(size=(COUNT, SIZE, SIZE))))
    optics = Optics.from_columns(particles.optics())
    return Batch(images, optics, latents, jnp.arange(COUNT), jnp.ones(COUNT))


def taken(every, index):
    return jax.tree.map(lambda x: x[index], every)


def batches_of(every, batch):
    """A loader of parts of one batch, padded at weight 0."""

    def batches(plan):
        for rows in plan:
            index = np.concatenate([rows, np.repeat(rows[-1:], batch - len(rows))])
            part = taken(every, index)
            weight = jnp.asarray(np.arange(batch) < len(rows), float)
            yield Batch(part.images, part.optics, part.latents, part.index, weight)

    return batches


def tables(every, groups, count, batch=4):
    how = NOISE, GRID, KERNEL
    return gather(batches_of(every, batch), groups, count, batch, how)


@pytest.fixture(scope="module")
def alone(every):
    """Each image a group."""
    return tables(every, np.arange(COUNT), COUNT, batch=1)


def test_weighted_groups_are_weighted_images(every, alone):
    weights = np.random.default_rng(1).uniform(size=(2, COUNT))
    for weight, found in zip(weights, alone.sums(weights), strict=True):
        batch = Batch(every.images, every.optics, every.latents, every.index, jnp.asarray(weight))
        empty = NormalEquations.zeros(SIZE, GRID.pixel_size, KERNEL)
        direct = np.asarray(empty.add(batch, batch.latents, NOISE, GRID).table)
        np.testing.assert_allclose(found, direct, atol=1e-5 * np.abs(direct).max())
    with pytest.raises(ValueError, match="not be negative"):
        alone.sums(-weights)


def test_groups_are_sums_of_their_images(every, alone):
    groups = np.arange(COUNT) % 3 - 1
    found = tables(every, groups, 2)
    np.testing.assert_array_equal(found.counts, [8, 8])
    by_hand = np.stack([alone.tables[groups == g].sum(axis=0) for g in (0, 1)])
    np.testing.assert_allclose(found.tables, by_hand, atol=1e-5 * np.abs(by_hand).max())


def test_moments_of_groups_are_block_equations_of_images(every, alone):
    first = np.random.default_rng(2).normal(size=(COUNT, 3))
    second = first[:, :, None] * first[:, None]
    found = alone.moments(first, second)
    empty = BlockEquations.zeros(3, SIZE, GRID.pixel_size, KERNEL)
    moments = jnp.asarray(first), jnp.asarray(second)
    direct = empty.add(every, every.latents, moments, NOISE, GRID)
    scale = np.abs(direct.table).max()
    np.testing.assert_allclose(found.table, direct.table, atol=1e-5 * scale)
    two = BlockEquations.zeros(2, SIZE, GRID.pixel_size, KERNEL)
    two = two.add(every, every.latents, (moments[0][:, :2], moments[1][:, :2, :2]), NOISE, GRID)
    np.testing.assert_allclose(leading(found, 2).table, two.table, atol=1e-5 * scale)


def test_one_bandwidth_is_the_reconstruction_by_its_weights(every, alone):
    rng = np.random.default_rng(3)
    cloud = LatentCloud(mean=rng.normal(size=(COUNT, 1)), covariance=np.full((COUNT, 1, 1), 0.5))
    half, mask = np.arange(COUNT) % 2, np.ones((SIZE,) * 3, np.float32)
    regression = KernelRegression(
        tables=alone,
        groups=np.arange(COUNT),
        half=half,
        cloud=cloud,
        mask=mask,
        signal=consensus_signal(alone, half, mask),
    )
    target = cloud.image(5)
    squared = (cloud.mean[:, 0] - cloud.mean[5, 0]) ** 2 / 1.0
    weight = 0.75 * np.maximum(1 - squared / 0.7, 0)
    batch = Batch(every.images, every.optics, every.latents, every.index, jnp.asarray(weight))
    empty = NormalEquations.zeros(SIZE, GRID.pixel_size, KERNEL)
    direct = empty.add(batch, batch.latents, NOISE, GRID).table
    found = alone.sums(regression._weights(squared, np.array([0.7]), 0))
    found = found + alone.sums(regression._weights(squared, np.array([0.7]), 1))
    np.testing.assert_allclose(found[0], direct, atol=1e-5 * np.abs(direct).max())
    assert np.isfinite(regression.single(target, 0.7)).all()
    whole = regression.volume(target)
    assert np.isfinite(whole.map).all()
    assert len(whole.bandwidth) == len(centres(SIZE))
    assert len(whole.fsc) == SIZE // 2 + 1


def test_where_all_latents_are_one_the_map_is_the_consensus(every):
    half = np.arange(COUNT) % 2
    # Each image in both half-sets: their FSC is 1, and the soft mask leaves nothing out.
    doubled = taken(every, np.arange(COUNT) // 2)
    apart = tables(doubled, np.arange(COUNT), COUNT, batch=1)
    cloud = LatentCloud(mean=np.zeros((COUNT, 1)), covariance=np.ones((COUNT, 1, 1)))
    regression = KernelRegression(
        tables=apart,
        groups=np.arange(COUNT),
        half=half,
        cloud=cloud,
        mask=np.ones((SIZE,) * 3, np.float32),
        signal=np.ones(SIZE // 2 + 1),
    )
    found = regression.volume(cloud.image(0))
    np.testing.assert_allclose(found.fsc[1:-1], 1, atol=1e-5)
    np.testing.assert_allclose(found.presence, 1, atol=1e-3)
    assert found.images == pytest.approx(COUNT)
    none = jnp.zeros(SIZE // 2 + 1)
    solved = lambda table, ratio: inside(wiener.solve(apart.as_equations(table), ratio))
    by_half = [solved(table, none) for table in both_halves(apart, half)]
    scale = float(np.abs(by_half[0]).max())
    np.testing.assert_allclose(found.halves, by_half, atol=1e-4 * scale)
    ratio = wiener.noise_to_signal(jnp.asarray(found.fsc))
    whole = solved(sum(both_halves(apart, half)), ratio)
    np.testing.assert_allclose(found.map, whole, atol=1e-3 * scale)


def inside(volume):
    """Its frequencies inside Nyquist's sphere."""
    return np.asarray(voxels(transforms(volume)))


def both_halves(apart, half):
    return [apart.tables[half == number].sum(axis=0) for number in (0, 1)]
