"""A volume of Gaussian blobs, linear in its coefficients, and images of it drawn from the prior."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.joint import Joint, choose
from cryojax_het.inference.model import Model
from cryojax_het.inference.parameter_prior import InverseGammaPower, NormalParameters
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.posteriors.chosen_unknowns import ChosenUnknowns
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.base import AbstractVolume

SIZE, PIXEL, WIDTH = 8, 4.5, 4.0
GRID = FourierGrid(SIZE, PIXEL)
NEAR, CONFORMATION = LocalPrior(0.1, 1.0, 1.0, 0.1), ChosenUnknowns()


class Blobs(AbstractVolume):
    """`V(r; z) = Σ_kq a_kq z^q N(r; c_k, w²)`."""

    coefficients: Float[Array, "k q"]
    centres: Float[Array, "k 3"]
    latent_size: int = eqx.field(static=True, default=1)

    def slice(self, latent, rotation, grid):
        plane = grid.plane(rotation)
        powers = jnp.cumprod(jnp.repeat(latent, self.coefficients.shape[1] - 1))
        amplitude = self.coefficients @ jnp.concatenate([jnp.ones(1), powers])
        phase = -2 * jnp.pi * jnp.einsum("yxd,kd->yxk", plane, self.centres)
        waves = jnp.sum(amplitude * jnp.exp(1j * phase), axis=-1)
        fall = jnp.exp(-2 * jnp.pi**2 * WIDTH**2 * jnp.sum(plane**2, axis=-1))
        return waves * fall * jnp.asarray(grid.inside())

    def density(self, latent, grid):
        raise NotImplementedError

    def prepare(self, grid):
        return self


def centres(count: int) -> Float[Array, "k 3"]:
    """Places within 9 Å."""
    return jnp.asarray(np.random.default_rng(0).uniform(-9, 9, (count, 3)))


def world(
    key,
    images: int = 6,
    blobs: int = 3,
    order: int = 2,
    *,
    sigma: float = 0.02,
    names=("volume.coefficients",),
    unknowns=CONFORMATION,
    prior=NEAR,
):
    """A joint density, and images drawn from it with all that `names` and `unknowns` choose.

    Returns the joint, the batch, values of the parameters and scaled unknowns.
    """
    keys = jax.random.split(key, 5)
    priors = {
        "volume.coefficients": NormalParameters(
            jnp.ones((blobs, order)) * (jnp.arange(order) == 0), jnp.asarray(0.5)
        ),
        "noise.power": InverseGammaPower(jnp.asarray(6.0), jnp.asarray(5.0 * (sigma * PIXEL) ** 2)),
    }
    priors = {name: priors[name] for name in names}
    volume = Blobs(priors_mean(blobs, order), centres(blobs))
    model = Model(volume, WhiteNoise((sigma * PIXEL) ** 2), prior, AsGiven())
    joint = Joint(model, choose(model, *names), priors, unknowns)
    free = {
        n: priors[n].sample(k, s.shape)
        for (n, s), k in zip(joint.start().items(), jax.random.split(keys[0], 2), strict=False)
    }
    truth = joint.values(free)
    blank = blank_batch(keys[1], images)
    scaled, seen = drawn(joint, blank, truth, keys[2])
    return joint, eqx.tree_at(lambda b: b.images, blank, seen), truth, scaled


def blank_batch(key, images):
    """Images of nothing, at poses drawn evenly."""
    rotation = jax.vmap(so3.random)(jax.random.split(key, images))
    start = Latents(jnp.zeros((images, 1)), rotation, jnp.zeros((images, 2)), jnp.ones(images))
    optics = jax.tree.map(lambda x: jnp.broadcast_to(x, (images, *x.shape)), Optics.ideal())
    nothing = jnp.zeros((images, SIZE, SIZE // 2 + 1), complex)
    return Batch(nothing, optics, start, jnp.arange(images), jnp.ones(images))


@eqx.filter_jit
def drawn(joint, blank, truth, key):
    """Scaled unknowns of a normal prior, and images at them."""
    widths = joint.widths(blank, GRID)
    scaled = jax.random.normal(key, widths.scale.shape)
    latents = joint.latents(scaled, widths, blank.latents)
    at = joint.model_at(truth)
    draw = lambda k, l, o: at.noise.sample(k, render(at.volume, l, o, GRID), GRID)
    keys = jax.random.split(jax.random.fold_in(key, 1), len(scaled))
    return scaled, jax.vmap(draw)(keys, latents, blank.optics)


def priors_mean(blobs: int, order: int) -> Float[Array, "k q"]:
    """The mean of the coefficients' prior: 1 each, nothing that depends on `z`."""
    return jnp.ones((blobs, order)) * (jnp.arange(order) == 0)
