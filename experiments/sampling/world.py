"""Tiny worlds in which everything is drawn from the prior: blobs linear in their coefficients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import AbstractGaussianNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.gibbs.block import World
from cryojax_het.inference.joint import Joint, choose
from cryojax_het.inference.model import Model
from cryojax_het.inference.parameter_prior import InverseGammaPower, NormalParameters
from cryojax_het.inference.pose_prior import log_haar
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.posteriors.chosen_unknowns import ChosenUnknowns
from cryojax_het.inference.prior import AbstractPrior, LocalPrior
from cryojax_het.volumes.base import AbstractVolume

SIZE, PIXEL, WIDTH = 12, 3.0, 4.0  # pixels, Å, Å of a blob
SIGMA = 0.02  # noise of a pixel; a blob's own projection has a maximum of 0.01
GRID = FourierGrid(SIZE, jnp.asarray(PIXEL, jnp.float32))
CENTRES = jnp.asarray(np.random.default_rng(0).uniform(-9, 9, (3, 3)), jnp.float32)
# Slopes are not about 0: `z` and `-z` would be one world.
MEAN = jnp.array([[1.0, 0.8], [1.0, -0.6], [1.0, 0.4]], jnp.float32)
COEFFICIENTS, POWER = "volume.coefficients", "noise.power"


class Blobs(AbstractVolume):
    """`V(r; z) = Σ_k (a_k0 + a_k1 z) N(r; c_k, w²)`."""

    coefficients: Float[Array, "k 2"]
    latent_size: int = eqx.field(static=True, default=1)

    def slice(self, latent, rotation, grid):
        plane = grid.plane(rotation)
        amplitude = self.coefficients[:, 0] + latent[0] * self.coefficients[:, 1]
        phase = 2 * jnp.pi * jnp.einsum("yxd,kd->yxk", plane, CENTRES)
        fall = jnp.exp(-2 * jnp.pi**2 * WIDTH**2 * jnp.sum(plane**2, axis=-1))
        fall = fall * jnp.asarray(grid.inside(), fall.dtype)
        real = jnp.sum(amplitude * jnp.cos(phase), axis=-1)
        return jax.lax.complex(fall * real, -fall * jnp.sum(amplitude * jnp.sin(phase), axis=-1))

    def density(self, latent, grid):
        raise NotImplementedError("only slices are needed here")

    def prepare(self, grid):
        return self


class Misstated(AbstractGaussianNoise):
    """White noise whose density may be wrong: variances times `factor`; coefficients counted once
    where `uneven` is 0, by their weights where it is 1. `sample` is right."""

    power: Float[Array, ""]
    factor: Float[Array, ""]
    uneven: Float[Array, ""]

    def of_group(self, group):
        return self

    def variance(self, grid):
        return jnp.full((grid.size, grid.size // 2 + 1), self.power * grid.length**2)

    def precision(self, grid):
        weights = 1 + self.uneven * (grid.weights() - 1)
        return weights / (self.factor * self.power * grid.length**2)

    def log_prob(self, observed, mean, grid):
        misfit = jnp.sum(self.whiten(observed - mean, grid) ** 2)
        return -0.5 * misfit - 0.5 * grid.size**2 * jnp.log(self.power)

    def whiten(self, residual, grid):
        scaled = residual * jnp.sqrt(self.precision(grid))
        return jnp.concatenate([scaled.real.ravel(), scaled.imag.ravel()])

    def sample(self, key, mean, grid):
        pixels = jax.random.normal(key, (grid.size, grid.size), grid.pixel_size.dtype)
        return mean + jnp.sqrt(self.power) * grid.from_image(pixels) / grid.pixel_size


class AnyPose(AbstractPrior):
    """Uniform rotations, conformation standard normal; without its Haar term where `haar` is 0."""

    haar: Float[Array, ""]

    def log_prob(self, latents, start):
        turn = so3.log(latents.rotation @ start.rotation.T)
        return self.haar * log_haar(turn) + norm.logpdf(latents.conformation).sum()


def local_joint(factor=1.0, uneven=1.0) -> Joint:
    """Coefficients, the noise, and conformations, turns and shifts of images unknown."""
    real = lambda x: jnp.asarray(x, jnp.float32)
    noise = Misstated(real((SIGMA * PIXEL) ** 2), real(factor), real(uneven))
    prior = LocalPrior(real(0.15), real(1.0), real(1.0), real(0.1))
    priors = {
        COEFFICIENTS: NormalParameters(MEAN, real(0.3)),
        POWER: InverseGammaPower(real(6.0), real(5 * (SIGMA * PIXEL) ** 2)),
    }
    model = Model(Blobs(MEAN), noise, prior, AsGiven())
    chosen = choose(model, COEFFICIENTS, POWER)
    return Joint(model, chosen, priors, ChosenUnknowns(rotation=True, shift=True))


def posed_joint(haar=1.0, sigma=0.03) -> Joint:
    """The volume known; conformation and rotation of every image unknown, no pose more likely."""
    real = lambda x: jnp.asarray(x, jnp.float32)
    noise = Misstated(real((sigma * PIXEL) ** 2), real(1.0), real(1.0))
    model = Model(Blobs(MEAN), noise, AnyPose(real(haar)), AsGiven())
    return Joint(model, choose(model), {}, ChosenUnknowns(rotation=True))


def starting(key, count: int) -> Batch:
    """Blank images at uniform poses, without aberrations."""
    start = Latents(
        jnp.zeros((count, 1), jnp.float32),
        jax.vmap(so3.random)(jax.random.split(key, count)),
        jnp.zeros((count, 2), jnp.float32),
        jnp.ones(count, jnp.float32),
    )
    optics = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), Optics.ideal())
    images = jnp.zeros((count, SIZE, SIZE // 2 + 1), jnp.complex64)
    return Batch(images, optics, start, jnp.arange(count), jnp.ones(count, jnp.float32))


def photographed(key, joint: Joint, values, scaled, batch: Batch) -> World:
    """The world with images of these unknowns."""
    blank = World.of(joint, batch, GRID)
    latents = joint.latents(scaled, blank.widths, batch.latents)
    model = joint.model_at(values)
    draw = lambda k, l, o: model.noise.sample(k, render(model.volume, l, o, GRID), GRID)
    seen = jax.vmap(draw)(jax.random.split(key, len(batch.index)), latents, batch.optics)
    return eqx.tree_at(lambda w: w.batch.images, blank, seen)


def drawn_parameters(key, joint: Joint):
    """Values of all unknown parameters, from their priors."""
    free = {
        name: joint.priors[name].sample(k, jnp.shape(start))
        for (name, start), k in zip(joint.start().items(), jax.random.split(key, 2), strict=True)
    }
    return joint.values(free)
