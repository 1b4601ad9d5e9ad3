"""Images of a small hyper-molecule, with transfer functions, shifts and noise, in float64."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.composite_basis import CompositeBasis

GRID = FourierGrid(12, 4.0)
BALL = prolate_basis(12.0, 1 / 12, 0.3)
TWO = CompositeBasis(
    (prolate_basis(9.0, 1 / 12, 0.3), prolate_basis(8.0, 1 / 12, 0.3)),
    jnp.array([[5.0, -2.0, 1.0], [-6.0, 0.0, 3.0]]),
)


class Images(NamedTuple):
    """The batch, its noise, and the molecule it is of."""

    batch: Batch
    noise: WhiteNoise
    molecule: HyperMolecule


def optics(count):
    rng = np.random.default_rng(4)
    full = lambda x: np.full(count, x)
    return Optics.from_columns(
        {
            "defocus_u": rng.uniform(8e3, 2e4, count),
            "defocus_v": rng.uniform(8e3, 2e4, count),
            "astigmatism_angle": rng.uniform(0, np.pi, count),
            "voltage": full(300.0),
            "spherical_aberration": full(2.7),
            "amplitude_contrast": full(0.1),
            "phase_shift": full(0.0),
            "b_factor": full(10.0),
            "scale": full(1.0),
            "group": np.zeros(count, int),
        }
    )


def poses(count, latent, contrast):
    rng = np.random.default_rng(5)
    rotation = jnp.asarray(Rotation.random(count, rng=rng).as_matrix())
    return Latents(latent, rotation, jnp.asarray(rng.normal(size=(count, 2))), contrast)


def rendered(volume, latents, count):
    return jax.jit(jax.vmap(lambda t, o: render(volume, t, o, GRID)))(latents, optics(count))


def images(count, snr=1.0, contrast=0.0):
    """Latents even over the interval; noise of `1/snr` times the power of the pixels."""
    rng = np.random.default_rng(6)
    functions = Legendre(2)
    decay = 1.0 / (1 + np.arange(functions.count))
    coefficients = jnp.asarray(rng.normal(size=(BALL.size, functions.count)) * decay)
    molecule = HyperMolecule(coefficients, BALL, functions)
    latent = jnp.asarray(rng.uniform(-1, 1, (count, 1)))
    scale = jnp.asarray(1 + contrast * rng.normal(size=count))
    latents = poses(count, latent, scale)
    clean = rendered(molecule, latents, count)
    power = jnp.mean(jax.vmap(GRID.to_image)(clean) ** 2)
    noise = WhiteNoise.per_pixel(jnp.sqrt(power / snr), GRID)
    draw = jax.jit(jax.vmap(lambda k, m: noise.sample(k, m, GRID)))
    noisy = draw(jax.random.split(jax.random.key(7), count), clean)
    batch = Batch(noisy, optics(count), latents, jnp.arange(count), jnp.ones(count))
    return Images(batch, noise, molecule)
