"""Images of a planted linear volume: a mean and two components that move it."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import LinearVolume, linear_of


@dataclass(frozen=True)
class LinearSet:
    """The images, what they are of, and the voxels of mean and components `[q, n, n, n]`."""

    batch: Batch
    noise: WhiteNoise
    volume: LinearVolume
    voxels: np.ndarray
    latents: np.ndarray
    grid: FourierGrid


def planted(world, count, snr, contrast=0.0, seed=0):
    """`count` images with latents ±1 times uniform; contrasts 1 and `contrast`; white noise of
    `1/snr` times the images' mean power."""
    voxels = np.asarray(world.volume.density(jnp.zeros(0), world.grid))
    moved = [0.35 * (np.roll(voxels, 1, axis) - voxels) for axis in (0, 1)]
    voxels = np.stack([voxels, *moved])
    volume = linear_of(jnp.asarray(voxels), world.grid.pixel_size, quadratic())
    rng = np.random.default_rng(seed)
    z = rng.choice([-1.0, 1.0], size=(count, 2)) * rng.uniform(0.5, 1.4, (count, 2))
    optics, poses = world.optics(count, seed), world.latents(count, seed)
    scale = jnp.asarray(1 + contrast * rng.normal(size=count))
    latents = Latents(jnp.asarray(z), poses.rotation, poses.shift, scale)
    prepared = volume.prepare(world.grid)
    clean = jax.jit(jax.vmap(lambda t, o: render(prepared, t, o, world.grid)))(latents, optics)
    power = jnp.mean(jax.vmap(world.grid.to_image)(clean) ** 2)
    noise = WhiteNoise.per_pixel(jnp.sqrt(power / snr), world.grid)
    keys = jax.random.split(jax.random.key(seed + 1), count)
    images = jax.vmap(lambda k, m: noise.sample(k, m, world.grid))(keys, clean)
    known = eqx.tree_at(
        lambda t: (t.conformation, t.contrast), latents, (0 * latents.conformation, jnp.ones(count))
    )
    batch = Batch(images, optics, known, jnp.arange(count), jnp.ones(count))
    return LinearSet(batch, noise, volume, voxels, z, world.grid)


def captured(basis, truth):
    """Share of each true component's power that lies in the span of `basis`."""
    flat = basis.reshape(len(basis), -1).astype(float)
    q = np.linalg.qr(flat.T)[0]
    truth = truth.reshape(len(truth), -1)
    return np.sum((truth @ q) ** 2, axis=1) / np.sum(truth**2, axis=1)
