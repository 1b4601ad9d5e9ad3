"""Full or stochastic EM: what is updated when, and what a checkpoint must keep of it."""

import abc
from collections.abc import Sequence
from typing import Any, final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from ..inference.devices import shard_like, to_host
from ..inference.half_maps import PlannedBatch, plan_batches
from ..inference.model import Model
from ..inference.updates.classes import AbstractClassUpdate, Classes
from ..inference.updates.online_classes import OnlineClasses, OnlineState
from ..particles.loader import shuffled

MINI_BATCH = 0.1  # of the images
LEAST = 200  # images in a mini-batch


class AbstractAlgorithm(abc.ABC):
    """A way to go through the images; `iterations` and `low_iterations` are its defaults."""

    iterations: int
    low_iterations: int
    update: type[AbstractClassUpdate]

    @abc.abstractmethod
    def rounds(
        self, half: Int[np.ndarray, " n"], batch: int, seed: int, number: int
    ) -> list[list[PlannedBatch]]:
        """The batches between one solution and the next, for pass `number` over the images whose
        `half` is 1 or 2."""

    @abc.abstractmethod
    def kept(self, states: Sequence[Any]) -> list[Any]:
        """Host arrays that the states of the half-sets between passes are restored from."""

    @abc.abstractmethod
    def restored(self, update: Any, model: Model, kept: list[Any]) -> list[Any]:
        """States of the half-sets, from arrays of `kept`."""


@final
class FullEM(AbstractAlgorithm):
    """All images, then a solution: nothing is left between passes."""

    iterations, low_iterations, update = 25, 10, Classes

    def rounds(self, half, batch, seed, number):
        del seed, number
        return [plan_batches(half, batch)]

    def kept(self, states):
        del states
        return []

    def restored(self, update, model, kept):
        del kept
        return [update.init(model), update.init(model)]


@final
class StochasticEM(AbstractAlgorithm):
    """A tenth of the images, in an order of its own for each pass, then a solution."""

    iterations, low_iterations, update = 8, 3, OnlineClasses

    def rounds(self, half, batch, seed, number):
        rows = shuffled(np.flatnonzero(half), seed, number)
        parts = max(1, int(len(rows) / max(MINI_BATCH * len(rows), LEAST)))
        plans = []
        for part in np.array_split(rows, parts):
            some = np.zeros_like(half)
            some[part] = half[part]
            plans.append(plan_batches(some, batch))
        return plans

    def kept(self, states):
        return [to_host((state.average, state.number)) for state in states]

    def restored(self, update, model, kept):
        states = []
        for average, number in kept:
            fresh: OnlineState = update.init(model)
            placed = shard_like(update.mesh, average)
            number = jnp.asarray(number, fresh.number.dtype)
            states.append(OnlineState(fresh.sums, placed, number, fresh.signal))
        return states


def choose_algorithm(wanted: str) -> AbstractAlgorithm:
    """`em` or `stochastic`."""
    return {"em": FullEM(), "stochastic": StochasticEM()}[wanted]
