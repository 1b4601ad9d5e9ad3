"""Metropolis within Gibbs: blocks in turn, many chains at once, one compiled loop.

(Geman & Geman 1984, IEEE PAMI 6; for particle images Lederman, Andén & Singer 2020, Inverse
Problems 36, 044005.)
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray, PyTree, Shaped

from ..joint import Parameters, log_likelihood
from .block import AbstractBlock, Place, World


class GibbsState(eqx.Module):
    """Where all chains are; all that is needed to go on. A leading axis of chains but for `count`.

    - `tuning`: of each block; `key`: of each chain, from which every sweep takes its own;
    - `count`: sweeps done.
    """

    values: Parameters
    scaled: Float[Array, "c n p"]
    tuning: PyTree
    key: Key[Array, " c"]
    count: Int[Array, ""]


class GibbsDraws(eqx.Module):
    """What sweeps leave, `[draw, chain, ...]`; one sweep of one chain without these axes.

    - `log_likelihood` of each image at the end of each sweep; `said`: what blocks say of moves.
    """

    values: Parameters
    scaled: Float[Array, "*d n p"]
    log_likelihood: Float[Array, "*d n"]
    said: dict[str, Shaped[Array, "..."]]


class Gibbs(eqx.Module):
    """Sweeps of `blocks` in their order; the first `warmup` tune them and are to be left out.

    Going on from a state gives what would have come without the stop, whatever the stops.
    """

    blocks: tuple[AbstractBlock, ...]
    warmup: int = eqx.field(static=True, default=200)

    def begin(
        self,
        key: PRNGKeyArray,
        world: World,
        values: Parameters,
        scaled: Float[Array, "c n p"],
    ) -> GibbsState:
        """Chains at `values`, each of a leading axis of chains, and at `scaled` unknowns."""
        start = lambda place: tuple(block.start(world, place) for block in self.blocks)
        tuning = jax.vmap(start)(Place(values, scaled))
        keys = jax.random.split(key, len(scaled))
        return GibbsState(values, scaled, tuning, keys, jnp.zeros((), jnp.int32))

    def advance(
        self, world: World, state: GibbsState, sweeps: int
    ) -> tuple[GibbsState, GibbsDraws]:
        """`sweeps` more, warm-up ones among them where it is not over."""

        def sweep(state: GibbsState, _):
            warming = state.count < self.warmup
            chain = lambda *one: self._sweep(world, warming, state.count, *one)
            before = Place(state.values, state.scaled)
            place, tuning, kept = jax.vmap(chain)(before, state.tuning, state.key)
            after = (place.values, place.scaled, tuning, state.key)
            return GibbsState(*after, state.count + 1), kept

        return jax.lax.scan(sweep, state, None, length=sweeps)

    def _sweep(self, world: World, warming, count, place, tuning, key):
        said: dict[str, Any] = {}
        tuned = []
        keys = jax.random.split(jax.random.fold_in(key, count), len(self.blocks))
        for block, held, one in zip(self.blocks, tuning, keys, strict=True):
            place, new, words = block.move(one, world, place, held, warming)
            tuned.append(new)
            said |= words
        found = log_likelihoods(world, place)
        return place, tuple(tuned), GibbsDraws(place.values, place.scaled, found, said)


def log_likelihoods(world: World, place: Place) -> Float[Array, " n"]:
    """`log p(y | θ, v)` of every image."""
    model, batch = world.joint.prepared(place.values, world.grid), world.batch

    def one(image, start, optics, widths, v):
        return log_likelihood(
            world.joint.image(model, (image, start, optics), widths, world.grid), v
        )

    return jax.vmap(one)(batch.images, batch.latents, batch.optics, world.widths, place.scaled)
