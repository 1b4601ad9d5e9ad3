"""An encoder of how the image pulls at the Gaussians of the reference."""

from collections.abc import Iterable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch, render
from ...imaging.marginal import log_marginal_contrast
from ...volumes.mixture import AbstractMixture, Change
from .encoder import AbstractEncoder, View
from .perceptron import Perceptron, perceptron


class ScoreGradientEncoder(AbstractEncoder):
    """`∂ log p(y | θ)/∂θ` at the reference, by anchors, then a perceptron that is told the view.

    `θ` is a displacement (Å) and a logarithm of the amplitude at each of `a` anchors, which each
    Gaussian follows by `weights`. Its gradient is linear in the image and in the molecule's frame
    already, whatever the pose: what is left to learn is small. (Chen & Ludtke 2021, Nat. Methods
    18, with the likelihood in place of their FRC, and anchors in place of single Gaussians.)

    - `unit`: root mean square of each entry over images, `[a, 4]`; `contrast`: mean and width of
      the prior of the contrast, which is integrated over.
    """

    reference: AbstractMixture
    weights: Float[Array, "j a"]
    unit: Float[Array, "a 4"]
    contrast: tuple[Array, Array]
    head: Perceptron
    latent_size: int = eqx.field(static=True)

    def encode(self, view, grid):
        # What it sees is data: nothing is to be learned by moving the reference under it.
        gradient = jax.lax.stop_gradient(self.gradient(view, grid) / self.unit)
        return self.head.code(gradient.ravel(), view.start.rotation)

    def trained(self):
        return [self.head.parameters]

    def gradient(self, view: View, grid: FourierGrid) -> Float[Array, "a 4"]:
        """Of the log-likelihood, by displacement (x, y, z) and logarithm of the amplitude."""

        def log_likelihood(theta):
            each = jnp.matmul(self.weights, theta, precision="highest")
            moved = self.reference.changed(Change(each[:, :3], each[:, 3]))
            unit = eqx.tree_at(lambda t: t.contrast, view.start, jnp.ones_like(theta[0, 0]))
            mean = render(moved, unit, view.optics, grid)
            return log_marginal_contrast(view.noise, view.image, mean, self.contrast, grid)

        return jax.grad(log_likelihood)(jnp.zeros_like(self.unit))


def score_gradient_encoder(
    key: PRNGKeyArray,
    reference: AbstractMixture,
    weights: Float[Array, "j a"],
    latent_size: int,
    contrast: tuple[Array, Array],
    layers: tuple[int, int] = (128, 3),
) -> ScoreGradientEncoder:
    """One whose `unit` is 1 yet: see `measured`. `layers`: width and number of the hidden ones."""
    anchors, dtype = weights.shape[1], reference.amplitudes.dtype
    head = perceptron(key, 4 * anchors, latent_size, layers, dtype)
    unit = jnp.ones((anchors, 4), dtype)
    return ScoreGradientEncoder(
        reference=reference,
        weights=weights,
        unit=unit,
        contrast=contrast,
        head=head,
        latent_size=latent_size,
    )


def measured(
    encoder: ScoreGradientEncoder, noise: Any, batches: Iterable[Batch], grid: FourierGrid
) -> ScoreGradientEncoder:
    """With `unit` from the images of `batches`, those of weight 0 left out."""

    @eqx.filter_jit
    def squares(batch):
        one = lambda image, start, optics: encoder.gradient(
            View(image, start, optics, noise.of_group(optics.group)), grid
        )
        found = jax.vmap(one)(batch.images, batch.latents, batch.optics)
        return jnp.einsum("b,baf->af", batch.weight, found**2), jnp.sum(batch.weight)

    total, count = jnp.zeros_like(encoder.unit), jnp.zeros((), encoder.unit.dtype)
    for batch in batches:
        square, images = squares(batch)
        total, count = total + square, count + images
    unit = jnp.sqrt(total / jnp.maximum(count, 1))
    return eqx.tree_at(lambda e: e.unit, encoder, jnp.where(unit > 0, unit, 1))
