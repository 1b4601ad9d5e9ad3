"""Weights of an ensemble of structures from images, by expectation-maximisation.

`p_m = w_m N_m / Σ w N` is the population of a structure that a simulation visited `N_m` times. The
likelihood `Σ_i log Σ_m p_m e^ℓ_im` is concave in `p`, and so is everything here.
(Tang et al. 2023, J. Phys. Chem. B 127, 5410.)
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .path_models import centred

_STEPS = 5000  # at most
_STILL = 1e-6  # a step that moves no population by more is the last
_TINY = 1e-30


def mean_log_likelihood(
    log_likelihood: Float[Array, "n m"], population: Float[Array, " m"]
) -> Float[Array, ""]:
    """`(1/N) Σ_i log Σ_m p_m e^ℓ_im`, in nats per image."""
    ratio, level = centred(log_likelihood)
    return jnp.mean(jnp.log(ratio @ population) + level)


@jax.jit
def expectation_maximisation(
    log_likelihood: Float[Array, "n m"], start: Float[Array, " m"]
) -> Float[Array, " m"]:
    """The populations that make the images most probable: the maximum under Dirichlet(1) weights.

    `p_m <- (1/N) Σ_i p_m e^ℓ_im / Σ_m' p_m' e^ℓ_im'` from positive `start`; no step lowers the
    likelihood. The maximum is on few structures: see `EntropicWeights`.
    """
    ratio = centred(log_likelihood)[0]
    even = jnp.ones(len(ratio), ratio.dtype)
    return _settled(lambda p: _responsible(ratio, even, p), start)


@jax.jit
def entropic_populations(
    log_likelihood: Float[Array, "n m"],
    reference: Float[Array, " m"],
    strength: Float[Array, ""],
    weight: Float[Array, " n"],
) -> Float[Array, " m"]:
    """The maximum of `(1/N) Σ_i log Σ_m p_m e^ℓ_im - strength KL(p ‖ reference)` over populations.

    - `reference`: positive, of sum 1; `strength`: positive, θ/N of `EntropicPrior`;
    - `weight`: how often each image counts; N is their sum.
    """
    ratio = centred(log_likelihood)[0]
    step = lambda p: entropic_step(_responsible(ratio, weight, p), reference, strength)
    return _settled(step, reference)


def entropic_step(
    share: Float[Array, " m"], reference: Float[Array, " m"], strength: Float[Array, ""]
) -> Float[Array, " m"]:
    """The populations `x` that maximise `Σ_m share_m log x_m - strength KL(x ‖ reference)`.

    `share_m / x_m = strength log(x_m / reference_m) + ν`, which Wright's omega function solves for
    each `m`; ν by bisection, for a sum of 1.
    """
    log_share = jnp.log(share + _TINY)

    def log_x(nu):
        c = nu / strength + log_share - jnp.log(strength) - jnp.log(reference)
        return log_share - jnp.log(strength) - _log_omega(c)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        too_much = jax.nn.logsumexp(log_x(middle)) > 0
        return jnp.where(too_much, middle, low), jnp.where(too_much, high, middle)

    # At the least (largest) share/reference for ν no x is below (above) its reference.
    ratio = jnp.exp(log_share) / reference
    ends = jax.lax.fori_loop(0, 40, halve, (jnp.min(ratio), jnp.max(ratio)))
    x = jnp.exp(log_x((ends[0] + ends[1]) / 2))
    return x / jnp.sum(x)


def _log_omega(c: Float[Array, " m"]) -> Float[Array, " m"]:
    """The `u` with `e^u + u = c`: convex and increasing, so that Newton from above cannot fail."""
    start = jnp.where(c > 1, jnp.log(jnp.maximum(c, 1.0)), c)

    def newton(_, u):
        return u - (jnp.exp(u) + u - c) / (jnp.exp(u) + 1)

    return jax.lax.fori_loop(0, 12, newton, start)


def _settled(step, start):
    def moves(state):
        number, old, new = state
        return (number < _STEPS) & (jnp.max(jnp.abs(new - old)) > _STILL)

    first = jnp.zeros((), jnp.int32), start, step(start)
    return jax.lax.while_loop(moves, lambda s: (s[0] + 1, s[2], step(s[2])), first)[2]


def _responsible(ratio, weight, population):
    """Each structure's share of the images."""
    joint = ratio * population
    return weight @ (joint / jnp.sum(joint, axis=1, keepdims=True)) / jnp.sum(weight)


def hard_assignment(log_likelihood: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " m"]:
    """Share of the images whose likeliest node is each: the naive histogram, broadened by noise."""
    nodes = log_likelihood.shape[1]
    best = np.argmax(log_likelihood, axis=1)
    return np.bincount(best, minlength=nodes) / len(best)


def node_entropy(
    log_likelihood: Float[np.ndarray, "n m"], population: Float[np.ndarray, " m"]
) -> Float[np.ndarray, " n"]:
    """Entropy of each image's posterior over the nodes, in nats: 0 where it tells its node."""
    from scipy.special import entr, log_softmax

    joint = log_likelihood.astype(np.float64) + np.log(population)
    return entr(np.exp(log_softmax(joint, axis=1))).sum(axis=1)


@final
@dataclass(frozen=True, kw_only=True)
class EntropicWeights:
    """Populations at the strength of the entropic prior that held-out images like best.

    - `strength`: per image, of `strengths`; `held_out`: mean log-likelihood of held-out images at
      each, nats per image, up to a constant, and `uncertainty` of its difference from the best.
    """

    population: Float[np.ndarray, " m"]
    strength: float
    strengths: Float[np.ndarray, " k"]
    held_out: Float[np.ndarray, " k"]
    uncertainty: Float[np.ndarray, " k"]


def cross_validated(
    log_likelihood: Float[np.ndarray, "n m"],
    reference: Float[np.ndarray, " m"],
    strengths: Float[np.ndarray, " k"],
    folds: int = 5,
    seed: int = 0,
) -> EntropicWeights:
    """Choose the strength by held-out images, each held out once, and fit all images with it.

    Raises `ValueError` for fewer images than folds, fewer than two folds, or a strength that is
    not positive.
    """
    count = len(log_likelihood)
    if not 2 <= folds <= count:
        raise ValueError(f"`folds` must be from 2 to the {count} images. Got {folds}.")
    if len(strengths) == 0 or not min(strengths) > 0:
        raise ValueError(f"`strengths` must be positive. Got {list(strengths)}.")
    whole, start = jnp.asarray(log_likelihood), jnp.asarray(reference / np.sum(reference))
    start = start.astype(whole.dtype)
    fold = np.random.default_rng(seed).permutation(count) % folds
    ratio, _ = centred(whole)
    held = np.zeros((len(strengths), count))
    for number in range(folds):
        weight = jnp.asarray(fold != number, whole.dtype)
        for row, strength in enumerate(strengths):
            p = entropic_populations(whole, start, jnp.asarray(strength, whole.dtype), weight)
            held[row, fold == number] = np.log(np.asarray(ratio @ p))[fold == number]
    score = held.mean(axis=1)
    best = int(score.argmax())
    even = jnp.ones(count, whole.dtype)
    chosen = jnp.asarray(strengths[best], whole.dtype)
    return EntropicWeights(
        population=np.asarray(entropic_populations(whole, start, chosen, even), np.float64),
        strength=float(strengths[best]),
        strengths=np.asarray(strengths, np.float64),
        held_out=score,
        uncertainty=(held - held[best]).std(axis=1) / np.sqrt(count),
    )
