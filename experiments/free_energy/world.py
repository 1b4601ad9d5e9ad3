"""A molecule with an arm on a hinge, fourteen conformations, a double well over them, images."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.base import AbstractVolume
from cryojax_het.volumes.gaussians import Gaussians

BOX, PIXEL, NODES = 32, 4.0, 14
GRID = FourierGrid(BOX, jnp.asarray(PIXEL, jnp.float32))
ANGLE = np.linspace(-0.6, 0.6, NODES)  # radians
RADIUS = 45.0  # of the molecule, Å


class P32(AbstractVolume):
    """60 Gaussians of 5 Å, 20 of them an arm that turns by the latent about a hinge."""

    body: jax.Array
    arm: jax.Array
    hinge: jax.Array
    latent_size: int = eqx.field(static=True, default=1)

    @classmethod
    def made(cls):
        rng = np.random.default_rng(7)
        ball = rng.normal(size=(40, 3))
        ball *= (rng.uniform(0.2, 1, 40) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
        body = ball * [18.0, 22.0, 16.0] + [-14.0, 0.0, 0.0]
        along = np.linspace(2, 40, 20)
        arm = np.stack([along, 0.004 * along**2, 3 * np.sin(along / 8)], axis=1)
        arm += rng.normal(0, 2.0, arm.shape)
        real = lambda x: jnp.asarray(x, jnp.float32)
        return cls(real(body), real(arm), real([2.0, 2.0, 0.0]))

    def at(self, latent):
        turn = so3.exp(latent[0] * jnp.array([0.0, 0.0, 1.0], latent.dtype))
        arm = jnp.matmul(self.arm, turn.T, precision="highest") + self.hinge
        positions = jnp.concatenate([self.body, arm])
        ones = jnp.ones(len(positions), positions.dtype)
        return Gaussians(positions=positions, amplitudes=ones, widths=5 * ones)

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        return self


def double_well():
    """Free energy of the nodes, k_BT: 3.6 at the ends, 1.6 at the barrier, 0 in two wells."""
    u = np.linspace(-1, 1, NODES)
    energy = 10 * (u**2 - 0.4) ** 2
    return energy + np.log(np.exp(-energy).sum())  # -log p


class Images(NamedTuple):
    """A batch whose poses are told with errors of `angle` radians, its noise, and the true poses
    and nodes."""

    batch: Batch
    noise: WhiteNoise
    rotation: jax.Array
    node: np.ndarray


def images(seed, count, snr, angle):
    """Drawn from the double well: uniform views, defocus 0.8 to 2 µm, `snr` over the box."""
    rng = np.random.default_rng(seed)
    node = rng.choice(NODES, count, p=np.exp(-double_well()))
    key = jax.random.key(seed)
    rotation = jax.vmap(so3.random)(jax.random.split(key, count))
    shift = jnp.asarray(rng.uniform(-6, 6, (count, 2)), jnp.float32)
    defocus = rng.uniform(8e3, 2e4, count)
    columns = {"defocus_u": defocus, "defocus_v": defocus, "astigmatism_angle": 0 * defocus}
    columns |= {"voltage": 300 + 0 * defocus, "spherical_aberration": 2.7 + 0 * defocus}
    columns |= {"amplitude_contrast": 0.1 + 0 * defocus, "phase_shift": 0 * defocus}
    columns |= {"b_factor": 0 * defocus, "scale": 1 + 0 * defocus}
    optics = Optics.from_columns(columns | {"group": np.zeros(count, np.int32)})
    conformation = jnp.asarray(ANGLE[node, None], jnp.float32)
    true = Latents(conformation, rotation, shift, jnp.ones(count))
    volume = P32.made()
    draw = eqx.filter_jit(
        lambda latents, optics: jax.lax.map(lambda x: render(volume, *x, GRID), (latents, optics))
    )
    clean = draw(true, optics)
    pixels = jax.vmap(GRID.to_image)(clean)
    noise = WhiteNoise.per_pixel(jnp.sqrt(jnp.mean(pixels**2) / snr), GRID)
    keys = jax.random.split(jax.random.fold_in(key, 1), count)
    noisy = jax.jit(jax.vmap(lambda k, x: noise.sample(k, x, GRID)))(keys, clean)
    error = jnp.asarray(rng.normal(0, angle, (count, 3)), jnp.float32)
    told = jax.vmap(lambda e, r: so3.exp(e) @ r)(error, rotation)
    given = Latents(conformation[:, :0], told, shift, jnp.ones(count))
    index, weight = jnp.arange(count), jnp.ones(count)
    return Images(Batch(noisy, optics, given, index, weight), noise, rotation, node)
