"""Latents under the density of all in place of the standard normal prior.

An image's normal posterior `N(m, C)` under the standard normal prior tells its likelihood up to a
constant, `ℓ(z) = -½ zᵀ(C⁻¹ - 1)z + zᵀC⁻¹m`. Draws `z_k` of the new prior, the same for all images,
then have weights `exp ℓ(z_k)` in the image's posterior, whose moments are sums over them; the draw
of highest `ℓ(z_k) + log p(z_k)` is where the climb to the most probable latent starts, so that it
ends in the right cluster. Models and images are not touched again.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .diffusion import least_level
from .latent_density import LatentDensity

_STEPS, _SHORTEST = 30, 1e-3  # of the climb; of a step's share


class PriorDraws(NamedTuple):
    """Draws of the density and their `log p`."""

    latent: Float[Array, "k d"]
    log_prob: Float[Array, " k"]


class Retold(NamedTuple):
    """Of one image: its most probable latent, and its posterior's mean and covariance, from
    `effective` draws; where these are few, only the first is to be trusted."""

    most_probable: Float[Array, " d"]
    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]
    effective: Float[Array, ""]


@eqx.filter_jit
def prior_draws(density: LatentDensity, key: PRNGKeyArray, count: int) -> PriorDraws:
    """As many, some at a time."""

    def one(key):
        latent = density.sample(key)
        return latent, density.log_prob(latent)

    return PriorDraws(*jax.lax.map(one, jax.random.split(key, count), batch_size=512))


def retold(
    density: LatentDensity,
    draws: PriorDraws,
    mean: Float[Array, " d"],
    covariance: Float[Array, "d d"],
) -> Retold:
    """What `N(mean, covariance)` under the standard normal prior is under `density`; batch with
    `jax.vmap`."""
    precision = jnp.linalg.inv(covariance)
    own, pull = precision - jnp.eye(len(mean), dtype=mean.dtype), precision @ mean
    log_likelihood = lambda z: pull @ z - 0.5 * z @ own @ z
    told = jax.vmap(log_likelihood)(draws.latent)
    weight = jax.nn.softmax(told)
    middle = weight @ draws.latent
    away = draws.latent - middle
    spread = jnp.einsum("k,ki,kj->ij", weight, away, away)
    start = draws.latent[jnp.argmax(told + draws.log_prob)]
    best = _climb(density, (own, pull), start)
    return Retold(best, middle, spread, 1 / jnp.sum(weight**2))


def _climb(density: LatentDensity, told: tuple[Array, Array], start: Float[Array, " d"]):
    """To the next maximum of `ℓ + log p`: steps up the slope, not taken and then shorter where it
    would turn on the way."""
    own, pull = told
    level = least_level()
    factor = density.factor

    def slope(x):
        z = density.in_units(x)
        return factor.T @ (pull - own @ z) + density.diffusion.score(x, level)

    def step(carry, _):
        x, share = carry
        here = slope(x)
        there = slope(x + share * here)
        good = here @ there > 0
        x = jnp.where(good, x + share * here, x)
        share = jnp.where(good, 1.5 * share, 0.4 * share)
        return (x, jnp.maximum(share, _SHORTEST)), None

    (x, _), _ = jax.lax.scan(step, (density.whitened(start), jnp.asarray(0.02)), None, _STEPS)
    return density.in_units(x)
