"""What training minimises, per image."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, PRNGKeyArray

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch, Latents, render
from ...imaging.marginal import log_marginal_positive_contrast
from ...imaging.noise import AbstractGaussianNoise
from ...imaging.optics import Optics
from ..model import Model
from ..posterior import Gaussian
from ..prior import LocalPrior
from ..requirements import gaussian_noise, local_prior


class Terms(NamedTuple):
    """Of each image: `E_q log p(y | z) - log p(y | no particle)` from one draw of `z`, and the
    divergence of `q` from the standard normal prior, coordinate by coordinate; nats."""

    gain: Float[Array, " b"]
    divergence: Float[Array, "b d"]
    conformation: Float[Array, "b d"]  # the draw


def evidence_terms(
    model: Model, batch: Batch, grid: FourierGrid, key: PRNGKeyArray
) -> tuple[Terms, Gaussian]:
    """The two terms of the evidence bound under `model`, contrast integrated over, and the belief.

        log p(y) >= E_q[log p(y | z)] - KL(q(z | y) | N(0, 1))

    `TypeError` unless noise is Gaussian, the prior local, and the posterior a `Gaussian` of
    independent coordinates.
    """
    noise = gaussian_noise(model.noise, "evidence_terms")
    prior = local_prior(model.prior, "evidence_terms")
    belief = model.posterior.infer(key, model.volume, noise, prior, batch, grid)
    if not isinstance(belief, Gaussian):
        raise TypeError(f"Training needs a `Gaussian` posterior. Got {type(belief).__name__}.")
    mean = belief.latents.conformation
    width = jnp.sqrt(jnp.diagonal(belief.covariance, axis1=1, axis2=2))
    drawn = mean + width * jax.random.normal(key, mean.shape, mean.dtype)
    volume: Any = model.volume.prepare(grid)

    def one(image, latents, optics, conformation):
        there = eqx.tree_at(lambda t: t.conformation, latents, conformation)
        return gain(volume, (noise, prior), (image, there, optics), grid)

    found = jax.vmap(one)(batch.images, belief.latents, batch.optics, drawn)
    divergence = 0.5 * (mean**2 + width**2 - 1) - jnp.log(width)
    return Terms(found, divergence, drawn), belief


def gain(
    volume: Any,
    known: tuple[AbstractGaussianNoise, LocalPrior],
    seen: tuple[Complex[Array, "y x"], Latents, Optics],
    grid: FourierGrid,
) -> Float[Array, ""]:
    """`log p(y | z) - log p(y | no particle)` of one image, its contrast, which is positive,
    integrated over.

    - `known`: noise, and the prior that has the contrast's; `seen`: image, latents, optics.
    """
    (noise, prior), (image, latents, optics) = known, seen
    own = noise.of_group(optics.group)
    unit = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones_like(latents.contrast))
    rendered = render(volume, unit, optics, grid)
    contrast = (prior.contrast_mean, prior.contrast_width)
    nothing = own.log_prob(image, jnp.zeros_like(image), grid)
    return log_marginal_positive_contrast(own, image, rendered, contrast, grid) - nothing


def expected_loss(
    terms: Terms, weight: Float[Array, " b"], divergence_weight: Float[Array, ""], free: float
) -> Float[Array, ""]:
    """Mean over images of `-gain + β · max(KL, free)`, `free` nats per coordinate of the batch's
    mean (Kingma et al. 2016, NeurIPS): a coordinate is not worth emptying below that."""
    share = weight / jnp.maximum(jnp.sum(weight), 1)
    each = jnp.maximum(share @ terms.divergence, free)
    return divergence_weight * jnp.sum(each) - share @ terms.gain
