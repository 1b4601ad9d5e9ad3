"""Training of a latent diffusion by denoising score matching."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .diffusion import LEAST_TIME, AbstractDiffusion, level_at, mixing
from .latent_density import LatentDensity
from .score_network import score_network

_MEMORY = 0.999  # of the running mean of the parameters
_TOGETHER = 100  # steps in one program
_HELD = 0.1  # share of the images that are not trained on


class Beliefs(NamedTuple):
    """Normal posteriors of each image's latents."""

    mean: Float[np.ndarray, "n d"]
    covariance: Float[np.ndarray, "n d d"]


class Schedule(NamedTuple):
    """Steps of training, draws in each, rate of Adam at the start, width and number of blocks."""

    steps: int = 4000
    batch: int = 512
    rate: float = 1e-3
    layers: tuple[int, int] = (256, 4)


class Fitted(NamedTuple):
    """The density; mean loss of each hundred steps; of held-out images, that of the density and
    that of the normal one of the same mean and covariance; rows of the images held out."""

    density: LatentDensity
    course: list[float]
    held_out: float
    normal: float
    held: Int[np.ndarray, " m"]


def denoising_loss(
    diffusion: AbstractDiffusion, x: Float[Array, "b d"], key: PRNGKeyArray
) -> Float[Array, ""]:
    """Mean of `‖ε - ε̂(αx + σε, t)‖²` over times and noise."""
    first, second = jax.random.split(key)
    # One uniform number spread over the batch: times fill the unit interval evenly.
    spread = (jnp.arange(len(x)) + jax.random.uniform(first)) / len(x)
    level = level_at(LEAST_TIME + (1 - LEAST_TIME) * spread)
    noise = jax.random.normal(second, x.shape, x.dtype)
    stay, share = (part[:, None].astype(x.dtype) for part in mixing(level))
    found = jax.vmap(diffusion.noise)(stay * x + share * noise, level.astype(x.dtype))
    return jnp.mean((noise - found) ** 2)


def fit_diffusion(
    key: PRNGKeyArray,
    beliefs: Beliefs,
    schedule: Schedule | None = None,
    progress: Callable[[int, float], None] = lambda steps, loss: None,
) -> Fitted:
    """The density of draws from all images' posteriors.

    A tenth of the images is held out. `progress` is told the steps done and their loss. Raises
    `ValueError` where there are fewer than 20 images or where latents are not finite.
    """
    schedule = Schedule() if schedule is None else schedule
    count = len(beliefs.mean)
    if count < 20:
        raise ValueError(f"A density needs 20 images or more. Got {count}.")
    if not (np.isfinite(beliefs.mean).all() and np.isfinite(beliefs.covariance).all()):
        raise ValueError("Latents must be finite. Some images have none: finish the fit first.")
    keys = jax.random.split(key, 4)
    order = np.asarray(jax.random.permutation(keys[0], count))
    held, kept = order[: max(2, int(_HELD * count))], order[max(2, int(_HELD * count)) :]
    base = _base(keys[1], beliefs, kept, schedule)
    data = _whitened(base, beliefs, kept)
    diffusion, course = _trained(keys[2], base.diffusion, data, schedule, progress)
    density = eqx.tree_at(lambda d: d.diffusion, base, diffusion)
    rest = _whitened(base, beliefs, held)
    loss = eqx.filter_jit(lambda d: _held_out(d, rest, keys[3]))
    return Fitted(density, course, float(loss(diffusion)), float(loss(base.diffusion)), held)


def _base(key, beliefs: Beliefs, kept, schedule: Schedule) -> LatentDensity:
    """The normal density of the draws' mean and covariance."""
    mean = beliefs.mean[kept].mean(axis=0)
    away = beliefs.mean[kept] - mean
    spread = away.T @ away / len(kept) + beliefs.covariance[kept].mean(axis=0)
    size = len(mean)
    spread = spread + 1e-8 * np.trace(spread) / size * np.eye(size)
    single = lambda x: jnp.asarray(x, jnp.float32)
    network = score_network(key, size, schedule.layers)
    return LatentDensity(network, single(mean), single(np.linalg.cholesky(spread)))


def _whitened(density: LatentDensity, beliefs: Beliefs, rows) -> tuple[Array, Array]:
    """Means, and factors of covariances, in units of the diffusion."""
    factor = np.asarray(density.factor, np.float64)
    inverse = np.linalg.inv(factor)
    mean = (beliefs.mean[rows] - np.asarray(density.mean)) @ inverse.T
    values, vectors = np.linalg.eigh(inverse @ beliefs.covariance[rows] @ inverse.T)
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None]
    return jnp.asarray(mean, jnp.float32), jnp.asarray(root, jnp.float32)


def _drawn(data: tuple[Array, Array], key: PRNGKeyArray, batch: int) -> Float[Array, "b d"]:
    """From the posteriors of random images."""
    mean, root = data
    first, second = jax.random.split(key)
    rows = jax.random.randint(first, (batch,), 0, len(mean))
    normal = jax.random.normal(second, (batch, mean.shape[1]), mean.dtype)
    return mean[rows] + jnp.einsum("bij,bj->bi", root[rows], normal)


def _trained(key, diffusion, data, schedule: Schedule, progress):
    """The running mean of the parameters, and the losses."""
    steps = -(-schedule.steps // _TOGETHER)
    rate = optax.cosine_decay_schedule(schedule.rate, steps * _TOGETHER)
    optimiser = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
    moving, fixed = eqx.partition(diffusion, eqx.is_inexact_array)

    def one(carry, key):
        moving, mean, state, done = carry
        first, second = jax.random.split(key)
        x = _drawn(data, first, schedule.batch)
        loss = lambda m: denoising_loss(eqx.combine(m, fixed), x, second)
        value, slope = jax.value_and_grad(loss)(moving)
        changes, state = optimiser.update(slope, state)
        moving = eqx.apply_updates(moving, changes)
        # Short at first: the mean must not remember the start.
        new = jnp.maximum(1 - _MEMORY, 1 / (1 + 0.1 * done))
        mean = jax.tree.map(lambda a, b: a + new.astype(a.dtype) * (b - a), mean, moving)
        return (moving, mean, state, done + 1), value

    many = jax.jit(lambda carry, key: jax.lax.scan(one, carry, jax.random.split(key, _TOGETHER)))
    carry, course = (moving, moving, optimiser.init(moving), jnp.zeros(())), []
    for step in range(steps):
        carry, losses = many(carry, jax.random.fold_in(key, step))
        course.append(float(jnp.mean(losses)))
        progress((step + 1) * _TOGETHER, course[-1])
    return eqx.combine(carry[1], fixed), course


def _held_out(diffusion, data, key):
    """Loss over the same draws and noise, whatever the density."""
    first, second = jax.random.split(key)
    return denoising_loss(diffusion, _drawn(data, first, 16384), second)
