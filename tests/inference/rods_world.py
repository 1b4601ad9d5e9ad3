"""A bent rod in many views, small enough to train a network on in seconds."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.gaussian_mixture import GaussianMixture

ATOMS = 24


@dataclass(frozen=True)
class Rods:
    """Two rods joined at the origin, one of which turns with `angle`."""

    grid: FourierGrid
    noise: ColouredNoise
    angles: np.ndarray
    batch: Batch

    def reference(self):
        """The straight angle."""
        return rods(jnp.zeros(()))

    def take(self, rows):
        """Some of the images."""
        return jax.tree.map(lambda x: x[rows], self.batch)


def rods(angle):
    along = jnp.linspace(-30, 30, ATOMS)
    still = jnp.stack([along, 0 * along, 0 * along], axis=1)[: ATOMS // 2]
    arm = jnp.abs(along[ATOMS // 2 :])
    moving = jnp.stack([arm * jnp.sin(angle), 0 * arm, arm * jnp.cos(angle)], axis=1)
    positions = jnp.concatenate([still, moving])
    return GaussianMixture(
        positions=positions, amplitudes=jnp.ones(ATOMS), widths=jnp.array([4.0]), sizes=(ATOMS,)
    )


def optics(count):
    rng = np.random.default_rng(1)
    zero = np.zeros(count)
    defocus = rng.uniform(8e3, 2e4, count)
    columns = {"defocus_u": defocus, "defocus_v": defocus, "astigmatism_angle": zero}
    columns |= {"voltage": zero + 300, "spherical_aberration": zero + 2.7}
    columns |= {"amplitude_contrast": zero + 0.1, "phase_shift": zero, "b_factor": zero}
    return Optics.from_columns(columns | {"scale": zero + 1, "group": np.zeros(count, int)})


def made(count, latent_size, noise_power):
    """Images of angles even in -0.7 to 0.7."""
    grid, noise = FourierGrid(16, 6.0), ColouredNoise(jnp.full((1, 9), noise_power))
    angles = np.random.default_rng(0).uniform(-0.7, 0.7, count)
    turns = jax.vmap(so3.random)(jax.random.split(jax.random.key(0), count))
    empty = jnp.zeros((count, latent_size))
    latents = Latents(empty, turns, jnp.zeros((count, 2)), jnp.ones(count))
    seen = optics(count)
    draw = lambda key, angle, l, o: noise.of_group(o.group).sample(
        key, render(rods(angle), l, o, grid), grid
    )
    keys = jax.random.split(jax.random.key(2), count)
    images = jax.jit(jax.vmap(draw))(keys, jnp.asarray(angles), latents, seen)
    batch = Batch(images, seen, latents, jnp.arange(count), jnp.ones(count))
    return Rods(grid, noise, angles, batch)
