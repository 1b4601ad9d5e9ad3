"""How probable images are under a model, from many draws of each latent."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ..model import Model
from ..posterior import Gaussian, LinearGaussian
from .auto_decoding import gains_at


def importance_bound(
    model: Model, batch: Batch, grid: FourierGrid, key: PRNGKeyArray, draws: int
) -> Float[Array, " b"]:
    """Lower bound on `log p(y) - log p(y | no particle)` of each image, nats:

        log 1/K Σ_k p(y | z_k) N(z_k; 0, 1) / q(z_k | y),   z_k from q,   K = `draws`.

    One draw: an evidence bound; with more it rises to the truth, so that models whose posteriors
    are more or less exact may be compared on images held out. The contrast is integrated over.
    `TypeError` where the posterior is no normal density. (Burda et al. 2016, ICLR.)
    """
    belief = model.posterior.infer(key, model.volume, model.noise, model.prior, batch, grid)
    if isinstance(belief, LinearGaussian):
        belief = belief.normal()
    if not isinstance(belief, Gaussian):
        raise TypeError(f"The bound needs a `Gaussian` posterior. Got {type(belief).__name__}.")
    mean = belief.latents.conformation
    factor = jnp.linalg.cholesky(belief.covariance)
    volume = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)), axis=1)

    def log_weight(own):
        drawn = jax.random.normal(own, mean.shape, mean.dtype)
        there = mean + jnp.einsum("bij,bj->bi", factor, drawn, precision="highest")
        log_belief = jnp.sum(norm.logpdf(drawn), axis=1) - volume
        log_prior = jnp.sum(norm.logpdf(there), axis=1)
        return gains_at(model, there, batch, grid) + log_prior - log_belief

    each = jax.lax.map(log_weight, jax.random.split(key, draws))
    return jax.nn.logsumexp(each, axis=0) - jnp.log(draws)
