"""Moves of a Markov chain that keep `p(v) ∝ exp(-U(v))`, and Hamiltonian trajectories among them.

`U`, the potential, is in nats. Everything is for one chain; batch with `jax.vmap`. Moves may follow
each other in any order: what each keeps, all keep.
"""

import abc
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

Potential = Callable[[Float[Array, " p"]], Float[Array, ""]]

_DIVERGED = 1000.0  # nats of energy lost or won: the integrator has left the trajectory


class Walker(NamedTuple):
    """Where a chain is, with the potential (nats) and its gradient there."""

    point: Float[Array, " p"]
    value: Float[Array, ""]
    gradient: Float[Array, " p"]

    @classmethod
    def at(cls, potential: Potential, point: Float[Array, " p"]) -> "Walker":
        """The walker at `point`."""
        return cls(point, *jax.value_and_grad(potential)(point))


class Move(NamedTuple):
    """How a move went: the probability with which it was accepted, whether it diverged."""

    acceptance: Float[Array, ""]
    diverged: Bool[Array, ""]


class AbstractKernel(eqx.Module):
    """A random move that leaves `exp(-U)` as it is."""

    @abc.abstractmethod
    def move(self, key: PRNGKeyArray, potential: Potential, walker: Walker) -> tuple[Walker, Move]:
        """Where the walker is next."""


class Trajectory(AbstractKernel):
    """Hamiltonian Monte Carlo of a fixed number of leapfrog steps.

    Momenta `m ~ N(0, M)` are drawn anew, `H = U + ½ mᵀ M⁻¹ m` is followed for `leapfrogs` steps,
    and the end is accepted with probability `min(1, exp(-ΔH))`. (Duane et al. 1987, Phys. Lett. B
    195; Neal 2011, Handbook of Markov Chain Monte Carlo, ch. 5.)

    - `step`: the size of a step; `jitter`: by which share of itself it varies at random, without
      which a trajectory of whole periods would return to its start;
    - `inverse_mass`: diagonal of `M⁻¹`, best the variances of the unknowns.
    """

    step: Float[Array, ""]
    inverse_mass: Float[Array, " p"]
    leapfrogs: int = eqx.field(static=True, default=16)
    jitter: float = eqx.field(static=True, default=0.3)

    def move(self, key, potential, walker):
        keys = jax.random.split(key, 3)
        dtype = walker.point.dtype
        unit = jax.random.normal(keys[0], walker.point.shape, dtype)
        momentum = unit / jnp.sqrt(self.inverse_mass)
        step = self.step * (1 + self.jitter * jax.random.uniform(keys[1], (), dtype, -1, 1))
        end, last = leapfrog(potential, walker, momentum, step, self.inverse_mass, self.leapfrogs)
        kinetic = lambda m: 0.5 * jnp.sum(self.inverse_mass * m**2)
        error = end.value + kinetic(last) - walker.value - kinetic(momentum)
        error = jnp.where(jnp.isfinite(error), error, jnp.inf)
        walker, acceptance = accepted(keys[2], -error, end, walker)
        return walker, Move(acceptance, error > _DIVERGED)


def leapfrog(
    potential: Potential,
    walker: Walker,
    momentum: Float[Array, " p"],
    step: Float[Array, ""],
    inverse_mass: Float[Array, " p"],
    count: int,
) -> tuple[Walker, Float[Array, " p"]]:
    """Walker and momentum after `count` steps: keeps volume, and runs back to its start under
    `-momentum`."""

    def advance(_, held):
        walker, momentum = held
        walker = Walker.at(potential, walker.point + step * inverse_mass * momentum)
        return walker, momentum - step * walker.gradient

    start = walker, momentum - 0.5 * step * walker.gradient
    end, momentum = jax.lax.fori_loop(0, count, advance, start)
    return end, momentum + 0.5 * step * end.gradient


def accepted(key: PRNGKeyArray, log_ratio, proposed: Walker, walker: Walker):
    """`proposed` with probability `min(1, exp(log_ratio))`, else `walker`; and that probability,
    which is 0 for NaN."""
    probability = jnp.exp(jnp.minimum(log_ratio, 0))
    probability = jnp.where(jnp.isnan(probability), 0, probability)
    taken = jax.random.uniform(key, (), probability.dtype) < probability
    chosen = jax.tree.map(lambda new, old: jnp.where(taken, new, old), proposed, walker)
    return chosen, probability
