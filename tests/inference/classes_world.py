"""A molecule of two shapes, and images of both: a body and an arm at one of two angles."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.volumes.classes import ClassVolumes
from cryojax_het.volumes.gaussians import Gaussians

from .conftest import World

SIZE, PIXEL = 32, 4.0


def shape(angle):
    """40 Gaussians of a body, 20 of an arm turned by `angle` about a hinge."""
    rng = np.random.default_rng(5)
    body = rng.normal(size=(40, 3)) * [9.0, 9.0, 12.0]
    arm = np.stack([rng.uniform(12, 38, 20), *rng.normal(size=(2, 20)) * 4], axis=1)
    arm = Rotation.from_rotvec([0, 0, angle]).apply(arm)
    positions = jnp.asarray(np.concatenate([body, arm]))
    return Gaussians(positions, jnp.full(60, 100.0), jnp.full(60, 5.0))


@dataclass(frozen=True)
class TwoShapes:
    """Images of two shapes with their true classes, cropped to `grid`; the noise; the truth."""

    batch: Batch
    label: np.ndarray
    grid: FourierGrid
    noise: ColouredNoise
    truth: ClassVolumes


def two_shapes(count, snr, share=0.7, box=18, contrast=0.0, seed=0):
    """`share` of the images of the first shape; white noise of `1/snr` of the mean power."""
    shapes, full = [shape(0.5), shape(-0.5)], FourierGrid(SIZE, PIXEL)
    worlds = [World(one, full) for one in shapes]
    rng = np.random.default_rng(seed)
    label = (rng.uniform(size=count) > share).astype(int)
    optics, latents = worlds[0].optics(count, seed), worlds[0].latents(count, seed)
    spread = jnp.asarray(1 + contrast * rng.normal(size=count))
    latents = eqx.tree_at(lambda t: t.contrast, latents, spread)
    draw = lambda v: jax.jit(jax.vmap(lambda t, o: render(v, t, o, full)))(latents, optics)
    clean = jnp.where(jnp.asarray(label)[:, None, None] == 0, *map(draw, shapes))
    power = float(jnp.mean(jax.vmap(full.to_image)(clean) ** 2))
    noise = ColouredNoise(jnp.full((2, SIZE // 2 + 1), power / snr * PIXEL**2))
    keys = jax.random.split(jax.random.key(seed + 7), count)
    sample = lambda key, mean, o: noise.of_group(o.group).sample(key, mean, full)
    images = jax.jit(jax.vmap(sample))(keys, clean, optics)
    images = jax.vmap(lambda image: full.crop_transform(image, box))(images)
    known = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones(count))
    batch = Batch(images, optics, known, jnp.arange(count), jnp.ones(count))
    voxels = jnp.stack([one.density(jnp.zeros(0), full) for one in shapes])
    return TwoShapes(batch, label, full.crop(box), noise, ClassVolumes(voxels, full.pixel_size))


def right(probability, label):
    """Share of images whose most probable class is theirs, classes matched."""
    found = np.argmax(np.asarray(probability), axis=1) == label
    return max(found.mean(), 1 - found.mean())
