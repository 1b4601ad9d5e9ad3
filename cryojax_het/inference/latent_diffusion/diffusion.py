"""A density of latents as what a diffusion leads back to from the standard normal one.

    x_t = α(t) x + σ(t) ε,   α = exp(-½∫β),   σ² = 1 - α²,   β(t) = β₀ + (β₁ - β₀) t

A network tells the noise `ε̂(x_t, t)` in what it sees, which is the score, `∇ log p_t = -ε̂/σ`. With
`y = x/α` and `s = σ/α` the flow that carries `p_t` along has the plain form `dy/ds = ε̂`, whose
steps in `log s` are all alike; the density follows its divergence. (Song et al. 2021, ICLR: the
variance-preserving process and its probability flow; Kreis et al. 2022, arXiv:2211.14169: as a
prior of latents of cryo-EM.)
"""

import abc
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float, PRNGKeyArray

_BETA = (0.1, 20.0)
LEAST_TIME = 1e-3  # the time that counts as 0: noise of a hundredth of the latents' width
_STEPS = 64  # of Runge and Kutta's fourth order along the flow: within 0.001 nats


class AbstractDiffusion(eqx.Module):
    """A density of `size` latents of about zero mean and unit variance, by its noise predictor."""

    size: AbstractVar[int]

    @abc.abstractmethod
    def noise(self, x: Float[Array, " d"], level: Float[Array, ""]) -> Float[Array, " d"]:
        """`ε̂` in `x`, at `level`, the logarithm of `s = σ/α`."""

    def score(self, x: Float[Array, " d"], level: Float[Array, ""]) -> Float[Array, " d"]:
        """`∇ log p_t(x)`."""
        return -self.noise(x, level) / mixing(level)[1]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " d"]:
        """One draw: a standard normal one, carried back along the flow."""
        return self.carried(jax.random.normal(key, (self.size,)))

    def carried(self, normal: Float[Array, " d"]) -> Float[Array, " d"]:
        """Where the flow leads a standard normal number: noise to latents, one to one, so that a
        straight path of noise becomes a path through latents that exist."""
        levels = _levels()[::-1]
        begin = normal / mixing(levels[0])[0]
        end, _ = jax.lax.scan(partial(_runge_kutta, self._flow), begin, (levels[:-1], levels[1:]))
        return end * mixing(levels[-1])[0]

    def log_prob(self, x: Float[Array, " d"]) -> Float[Array, ""]:
        """`log p(x)`, nats: carried to the standard normal density along the flow, with the exact
        trace of its divergence. Its derivative by `x` is the score itself, not that of the steps.
        """
        return _log_prob(self, x)

    def _flow(self, y: Float[Array, " d"], level: Float[Array, ""]) -> Float[Array, " d"]:
        """`dy/d log s`."""
        return jnp.exp(level) * self.noise(y * mixing(level)[0], level)

    def _flow_and_growth(self, state: tuple[Array, Array], level: Float[Array, ""]):
        """The flow, and its divergence."""
        y, _ = state
        flow = lambda y: self._flow(y, level)
        slope, bend = flow(y), jnp.trace(jax.jacfwd(flow)(y))
        return slope, bend


def mixing(level: Float[Array, "*t"]) -> tuple[Float[Array, "*t"], Float[Array, "*t"]]:
    """`α` and `σ` of a level `log(σ/α)`."""
    return jnp.sqrt(jax.nn.sigmoid(-2 * level)), jnp.sqrt(jax.nn.sigmoid(2 * level))


def level_at(time: Float[Array, "*t"]) -> Float[Array, "*t"]:
    """`log(σ/α)` at a time from 0 to 1."""
    first, last = _BETA
    return 0.5 * jnp.log(jnp.expm1(first * time + 0.5 * (last - first) * time**2))


def least_level() -> Float[Array, ""]:
    """Of the time that counts as 0."""
    return level_at(jnp.asarray(LEAST_TIME))


def _levels() -> Float[Array, " m"]:
    return jnp.linspace(least_level(), level_at(jnp.ones(())), _STEPS + 1)


def _runge_kutta(flow: Any, state: Any, pair: tuple[Array, Array]) -> tuple[Any, None]:
    """From one level to the next."""
    start, end = pair
    step = end - start
    moved = lambda slope, share: jax.tree.map(lambda a, b: a + share * step * b, state, slope)
    first = flow(state, start)
    second = flow(moved(first, 0.5), start + 0.5 * step)
    third = flow(moved(second, 0.5), start + 0.5 * step)
    fourth = flow(moved(third, 1.0), end)
    mean = lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6
    return moved(jax.tree.map(mean, first, second, third, fourth), 1.0), None


@eqx.filter_custom_jvp
def _log_prob(diffusion: AbstractDiffusion, x: Float[Array, " d"]) -> Float[Array, ""]:
    levels = _levels()
    begin = (x / mixing(levels[0])[0], jnp.zeros((), x.dtype))
    step = partial(_runge_kutta, diffusion._flow_and_growth)
    (y, growth), _ = jax.lax.scan(step, begin, (levels[:-1], levels[1:]))
    # Of y, whose density is that of x times α to the power of its size, at either end.
    last, first = mixing(levels[-1])[0], mixing(levels[0])[0]
    normal = -0.5 * jnp.sum((y * last) ** 2) - 0.5 * len(x) * np.log(2 * np.pi)
    return normal + len(x) * (jnp.log(last) - jnp.log(first)) + growth


@_log_prob.def_jvp
def _log_prob_jvp(primals, tangents):
    diffusion, x = primals
    moved = tangents[1]
    value = _log_prob(diffusion, x)
    if moved is None:
        return value, jnp.zeros_like(value)
    return value, diffusion.score(x, least_level()) @ moved
