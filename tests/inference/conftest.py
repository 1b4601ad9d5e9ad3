"""Synthetic images shared by the tests of inference: drawn by formulas, in memory."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.gaussians import Gaussians

from .rods_world import made


@dataclass(frozen=True)
class World:
    """A molecule, a grid, and images of it."""

    volume: Gaussians
    grid: FourierGrid

    def optics(self, count, seed=0):
        """Defoci from 0.8 to 2 µm, two optics groups in turn."""
        rng = np.random.default_rng(seed)
        return Optics.from_columns(
            {
                "defocus_u": rng.uniform(8e3, 2e4, count),
                "defocus_v": rng.uniform(8e3, 2e4, count),
                "astigmatism_angle": rng.uniform(0, np.pi, count),
                "voltage": np.full(count, 300.0),
                "spherical_aberration": np.full(count, 2.7),
                "amplitude_contrast": np.full(count, 0.1),
                "phase_shift": np.zeros(count),
                "b_factor": np.full(count, 10.0),
                "scale": np.ones(count),
                "group": np.arange(count) % 2,
            }
        )

    def latents(self, count, seed=0):
        """Poses over the whole of SO(3), shifts of a few Å, contrasts about 1."""
        keys = jax.random.split(jax.random.key(seed), 3)
        return Latents(
            jnp.zeros((count, 0)),
            jax.vmap(so3.random)(jax.random.split(keys[0], count)),
            3 * jax.random.normal(keys[1], (count, 2)),
            1 + 0.1 * jax.random.normal(keys[2], (count,)),
        )

    def batch(self, count, seed=0, noise=None):
        """Images of `latents(count, seed)`, with `noise` added where given."""
        optics, latents = self.optics(count, seed), self.latents(count, seed)
        clean = jax.jit(jax.vmap(lambda l, o: render(self.volume, l, o, self.grid)))
        images = clean(latents, optics)
        if noise is not None:
            keys = jax.random.split(jax.random.key(seed + 1000), count)
            draw = lambda key, mean, o: noise.of_group(o.group).sample(key, mean, self.grid)
            images = jax.vmap(draw)(keys, images, optics)
        return Batch(images, optics, latents, jnp.arange(count), jnp.ones(count))


def molecule(radius, count=30, width=5.0):
    """Gaussians of unequal weight at random places."""
    rng = np.random.default_rng(7)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions = directions * radius * rng.uniform(size=(count, 1)) ** (1 / 3)
    amplitudes = jnp.linspace(50.0, 150.0, count)
    return Gaussians(jnp.asarray(positions), amplitudes, jnp.full(count, width))


@pytest.fixture(scope="session")
def world():
    """32 pixels of 3 Å, a molecule 60 Å across."""
    return World(molecule(30.0), FourierGrid(32, 3.0))


@pytest.fixture(scope="session")
def tiny():
    """16 pixels of 4 Å."""
    return World(molecule(18.0, width=6.0), FourierGrid(16, 4.0))


@pytest.fixture(scope="session")
def rod_images():
    """512 images whose latents have two coordinates."""
    return made(512, 2, 1e-3)
