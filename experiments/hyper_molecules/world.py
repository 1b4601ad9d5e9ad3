"""Hinged molecules made of Gaussians, and images of them without a transfer function.

H1: a body of 25 Gaussians and an arm of 15 that turns by 35° τ about a hinge. H2: two arms, each
with a latent of its own. H3: an arm that turns all the way round.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.base import AbstractVolume
from cryojax_het.volumes.gaussian_mixture import GaussianMixture

SIZE, WIDTH = 24, 1.3  # pixels of 1 Å; standard deviation of a Gaussian
RADIUS, FREQUENCY, SHARE = 10.0, 0.25, 0.3  # of the ball and the band: c = 15.7
BODY, ARM = 25, 15


class Arm(NamedTuple):
    """Places at rest, hinge, axis and degrees of a turn at a latent of 1."""

    places: np.ndarray
    hinge: np.ndarray
    axis: np.ndarray
    degrees: float


class Hinged(AbstractVolume):
    """A body and arms, the m-th turned by the m-th latent."""

    body: jax.Array
    arms: tuple[jax.Array, ...]
    hinges: jax.Array
    turns: jax.Array  # axis times radians at a latent of 1
    latent_size: int = eqx.field(static=True)

    def at(self, latent) -> GaussianMixture:
        """All Gaussians in one conformation."""
        moved = [self.body]
        for arm, hinge, turn, z in zip(self.arms, self.hinges, self.turns, latent, strict=True):
            moved.append(hinge + (arm - hinge) @ so3.exp(z * turn).T)
        positions = jnp.concatenate(moved)
        ones = jnp.ones(len(positions))
        return GaussianMixture(positions, ones, jnp.array([WIDTH]), (len(positions),))

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        return self


def molecule(arms: int = 1, degrees: float = 35.0, seed: int = 0) -> Hinged:
    """A body about the middle, and arms that reach out to the surface of the ball."""
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(BODY, 3))
    body *= (3.0 * rng.uniform(0.2, 1, BODY) ** (1 / 3) / np.linalg.norm(body, axis=1))[:, None]
    made, hinges, turns = [], [], []
    for number in range(arms):
        out = np.array([1.0 - 2 * number, 0.0, 0.0])
        along = np.linspace(3.0, 7.5, ARM)
        made.append(along[:, None] * out + 0.5 * rng.normal(size=(ARM, 3)))
        hinges.append(2.0 * out)
        axis = np.array([0.0, 0.0, 1.0]) if number == 0 else np.array([0.0, 1.0, 0.0])
        turns.append(np.deg2rad(degrees) * axis)
    real = lambda x: jnp.asarray(np.array(x), jnp.float32)
    parts = tuple(real(x) for x in made)
    return Hinged(real(body), parts, real(hinges), real(turns), arms)


class World(NamedTuple):
    """Images cropped to the band, at the true poses; the truth; signal over noise in the band."""

    batch: Batch
    grid: FourierGrid
    noise: WhiteNoise
    latents: np.ndarray


def images(volume: Hinged, count: int, snr: float, seed: int, size: int = SIZE) -> World:
    """`count` images, poses and latents even; `snr`: power of the signal within the band over
    that of the noise there; `size`: pixels of a side of the box."""
    keys = jax.random.split(jax.random.key(seed), 3)
    tau = jax.random.uniform(keys[0], (count, volume.latent_size), minval=-1, maxval=1)
    rotation = jax.vmap(so3.random)(jax.random.split(keys[1], count))
    full = FourierGrid(size, 1.0)
    grid = full.crop(2 * int(size * FREQUENCY))
    view = lambda z, r: volume.slice(z, r, grid)
    clean = jax.jit(lambda a, b: jax.lax.map(lambda x: view(*x), (a, b), batch_size=100))(
        tau, rotation
    )
    inside = jnp.asarray(grid.inside()) * grid.weights()
    signal = jnp.mean(jnp.sum(inside * jnp.abs(clean) ** 2, axis=(1, 2)))
    power = signal / inside.sum() / snr / grid.length**2
    noise = WhiteNoise(power)
    noisy = jax.jit(jax.vmap(lambda key, mean: noise.sample(key, mean, grid)))(
        jax.random.split(keys[2], count), clean
    )
    none = jnp.zeros((count, 2))
    latents = Latents(jnp.zeros((count, volume.latent_size)), rotation, none, jnp.ones(count))
    optics = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), Optics.ideal())
    batch = Batch(noisy, optics, latents, jnp.arange(count), jnp.ones(count))
    return World(batch, grid, noise, np.asarray(tau))
