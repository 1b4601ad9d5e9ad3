"""Chains of a density over a few shared unknowns, by NumPyro's no-U-turn sampler."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray


class GlobalChains(NamedTuple):
    """`c` chains of `n` draws after warm-up; of each chain, trajectories that diverged, the mean
    acceptance and the step size settled on."""

    unknowns: Float[Array, "c n u"]
    divergences: Int[Array, " c"]
    acceptance: Float[Array, " c"]
    step_size: Float[Array, " c"]


class NoUTurnSampler(eqx.Module):
    """The no-U-turn sampler with step sizes and dense masses learnt in `warmup` moves.

    (Hoffman & Gelman 2014, J. Mach. Learn. Res. 15; Phan et al. 2019, arXiv:1912.11554.) Chains
    begin at standard normal draws times `spread`.
    """

    chains: int = eqx.field(static=True, default=4)
    warmup: int = eqx.field(static=True, default=1000)
    draws: int = eqx.field(static=True, default=1000)
    depth: int = eqx.field(static=True, default=8)
    acceptance: float = eqx.field(static=True, default=0.8)
    spread: float = eqx.field(static=True, default=0.5)

    def run(
        self,
        key: PRNGKeyArray,
        log_density: Callable[[Float[Array, " u"]], Float[Array, ""]],
        size: int,
    ) -> GlobalChains:
        """Chains over `size` real unknowns of `log_density`. May be compiled and batched."""
        from numpyro.infer.hmc import hmc

        initial, move = hmc(lambda x: -log_density(x), algo="NUTS")

        def started(key, point):
            return initial(
                point,
                self.warmup,
                step_size=0.1,
                dense_mass=True,
                target_accept_prob=self.acceptance,
                max_tree_depth=self.depth,
                rng_key=key,
            )

        def turn(states, _):
            states = jax.vmap(move)(states)
            return states, (states.z, states.diverging, states.accept_prob)

        first, then = jax.random.split(key)
        begin = self.spread * jax.random.normal(first, (self.chains, size))
        states = jax.vmap(started)(jax.random.split(then, self.chains), begin)
        # One loop for both: the program of a move is large, and is compiled once.
        states, kept = jax.lax.scan(turn, states, length=self.warmup + self.draws)
        points, diverged, accepted = jax.tree.map(lambda x: x[self.warmup :], kept)
        return GlobalChains(
            unknowns=jnp.swapaxes(points, 0, 1),
            divergences=diverged.sum(axis=0),
            acceptance=accepted.mean(axis=0),
            step_size=states.adapt_state.step_size,
        )
