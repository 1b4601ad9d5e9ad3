"""A posterior that a network reads off the image."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ...imaging.noise import AbstractGaussianNoise
from ..posterior import AbstractPosterior, Gaussian
from ..requirements import gaussian_noise
from .encoder import AbstractEncoder, View


class Encoded(AbstractPosterior[Gaussian]):
    """Amortised inference: `q(z | y) = N(m(y), diag σ(y)²)` by one network for all images.

    Poses and contrasts are as given. Gradients pass through. `TypeError` for noise that is not
    Gaussian. (Kingma & Welling 2014, ICLR.)
    """

    encoder: AbstractEncoder

    def infer(self, key, volume, noise, prior, batch, grid):
        del key, volume, prior
        return self.read(gaussian_noise(noise, "Encoded"), batch, grid)

    def read(self, noise: AbstractGaussianNoise, batch: Batch, grid: FourierGrid) -> Gaussian:
        """The belief on each image, which nothing but the image is needed for."""

        def one(image, start, optics):
            view = View(image, start, optics, noise.of_group(optics.group))
            code = self.encoder.encode(view, grid)
            latents = eqx.tree_at(lambda t: t.conformation, start, code.mean)
            return latents, jnp.diag(jnp.exp(2 * code.log_width))

        return Gaussian(*jax.vmap(one)(batch.images, batch.latents, batch.optics))
