"""Calmodulin on its two softest normal modes, and images of it drawn from the prior."""

import os
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import AbstractGaussianNoise, WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.prior import AbstractPrior, LocalPrior
from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.beads import beads
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.structures.partition import residue_numbers
from cryojax_het.structures.shift_invert import ShiftInvertLanczos
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussian_mixture import GaussianMixture
from cryojax_het.volumes.normal_modes import NormalModes

SIZE, PIXEL, WIDTH = 24, 4.0, 4.0  # pixels, Å, Å of a bead
RMS = 4.0  # Å: of the first mode at an amplitude of 1; of others by the root of the eigenvalues
MODES = 2
ANGLE, SHIFT, CONTRAST = np.deg2rad(5.0), 2.0, 0.1  # widths of the prior
NAMES = ("z1", "z2", "ω1", "ω2", "ω3", "shift x", "shift y", "contrast")
GRID = FourierGrid(SIZE, PIXEL)


class ScaledPrior(AbstractPrior):
    """`LocalPrior` of the widths above, times `factor`, the conformation's too."""

    factor: jax.Array = eqx.field(converter=jnp.asarray)

    def log_prob(self, latents, start):
        local = LocalPrior(ANGLE * self.factor, SHIFT * self.factor, 1.0, CONTRAST * self.factor)
        z = latents.conformation
        wide = norm.logpdf(z, scale=self.factor).sum() - norm.logpdf(z).sum()
        return local.log_prob(latents, start) + wide


class EvenWeights(AbstractGaussianNoise):
    """A planted bug: coefficients of the half-plane count once, as if all were their own mirror
    images."""

    right: WhiteNoise

    def of_group(self, group):
        return self

    def variance(self, grid):
        return self.right.variance(grid)

    def precision(self, grid):
        return self.right.precision(grid) / grid.weights()

    def log_prob(self, observed, mean, grid):
        residual = self.whiten(observed - mean, grid)
        return -0.5 * jnp.sum(residual**2)

    def whiten(self, residual, grid):
        scaled = residual * jnp.sqrt(self.precision(grid))
        return jnp.concatenate([scaled.real.ravel(), scaled.imag.ravel()])

    def sample(self, key, mean, grid):
        return self.right.sample(key, mean, grid)


def calmodulin() -> DisplacedMixture:
    """One bead of each residue; modes of an elastic network of springs up to 15 Å."""
    data = Path(os.environ["CRYOJAX_HET_DATA"]) / "calmodulin"
    atoms = read_atoms(data / "cam_3cln_apo_allatom.pdb").centred()
    model = beads(atoms, residue_numbers(atoms))
    modes = normal_modes(UniformSprings(15.0).network(model.positions), MODES, ShiftInvertLanczos())
    scale = RMS * np.sqrt(len(model.weights) * modes.eigenvalues[0] / modes.eigenvalues)
    vectors = scale[:, None, None] * modes.vectors
    reference = GaussianMixture(
        positions=jnp.asarray(model.positions, jnp.float32),
        amplitudes=jnp.asarray(model.weights, jnp.float32),
        widths=jnp.array([WIDTH], jnp.float32),
        sizes=(len(model.weights),),
    )
    return DisplacedMixture(reference, NormalModes(jnp.asarray(vectors, jnp.float32)))


def simulated(volume, count: int, snr: float, seed: int):
    """`count` images with everything drawn from the prior, its centre given to the posterior.

    Returns the batch, the noise, and the unknowns `[count, 8]` in the order of `NAMES`. `snr`: mean
    variance of clean pixels over that of the noise.
    """
    keys = jax.random.split(jax.random.key(seed), 4)
    start = Latents(
        jnp.zeros((count, MODES)),
        jax.vmap(so3.random)(jax.random.split(keys[0], count)),
        jnp.zeros((count, 2)),
        jnp.ones(count),
    )
    widths = jnp.array([1.0] * MODES + [ANGLE] * 3 + [SHIFT] * 2 + [CONTRAST])
    drawn = widths * jax.random.normal(keys[1], (count, len(widths)))
    turned = jax.vmap(so3.exp)(drawn[:, MODES : MODES + 3]) @ start.rotation
    truth = Latents(drawn[:, :MODES], turned, drawn[:, MODES + 3 : MODES + 5], 1 + drawn[:, -1])
    optics = optics_of(count, seed)
    clean = jax.jit(jax.vmap(lambda l, o: render(volume, l, o, GRID)))(truth, optics)
    pixels = jax.jit(jax.vmap(GRID.to_image))(clean)
    noise = WhiteNoise.per_pixel(jnp.sqrt(pixels.var() / snr), GRID)
    draw = lambda key, mean: noise.sample(key, mean, GRID)
    images = jax.jit(jax.vmap(draw))(jax.random.split(keys[2], count), clean)
    index = jnp.arange(count) + 1_000_000 * seed
    return Batch(images, optics, start, index, jnp.ones(count)), noise, np.asarray(drawn)


def optics_of(count: int, seed: int) -> Optics:
    """Defoci from 0.8 to 2 µm at 300 kV."""
    defocus = np.random.default_rng(seed).uniform(8e3, 2e4, count)
    columns = {"defocus_u": defocus, "defocus_v": defocus, "group": np.zeros(count, int)}
    constant = {"astigmatism_angle": 0, "voltage": 300, "spherical_aberration": 2.7}
    constant |= {"amplitude_contrast": 0.1, "phase_shift": 0, "b_factor": 0, "scale": 1}
    columns |= {name: np.full(count, float(value)) for name, value in constant.items()}
    return Optics.from_columns(columns)
