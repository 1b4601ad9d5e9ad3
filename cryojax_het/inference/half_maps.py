"""One pass over the data for two half-sets at once, each with its own model and its own sums."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float, Int, Integer

from ..imaging.grid import FourierGrid
from ..particles.loader import HostLatents, Loader, split_rows
from .devices import to_host
from .model import Model
from .noise_estimation import residual_power
from .updates.least_squares import LeastSquares, LeastSquaresState

STRIDE = 200


@final
@dataclass(frozen=True)
class PlannedBatch:
    """Rows of one half-set (0 or 1)."""

    half: int
    rows: Integer[np.ndarray, " b"]


@final
@dataclass
class HalfMaps:
    """What a pass carries from batch to batch; a checkpoint of it resumes the pass.

    `models`, `states`: one of each half-set. `power`, `images`: sums for the noise.
    """

    models: list[Model]
    states: list[LeastSquaresState]
    power: Float[np.ndarray, "g s"]
    images: Float[np.ndarray, " g"]
    latents: HostLatents = field(repr=False)


def plan_batches(half: Int[np.ndarray, " n"], size: int) -> list[PlannedBatch]:
    """Batches of at most `size` rows of one half-set each, both in the order of the file, so that
    neighbours on disk are read at nearly the same time."""
    batches = [
        PlannedBatch(number - 1, rows)
        for number in (1, 2)
        for rows in split_rows(np.flatnonzero(half == number), size)
    ]
    return sorted(batches, key=lambda batch: (batch.rows[0], batch.half))


@final
@dataclass(frozen=True)
class Pass:
    """How a pass is made: the update, the grid, and what a batch adds to the noise sums."""

    update: LeastSquares
    grid: FourierGrid
    step: Callable
    residuals: Callable | None


def first_pass(update: LeastSquares, grid: FourierGrid) -> Pass:
    """There is no volume yet, so nothing is inferred and no residual exists."""
    return Pass(update, grid, _compiled_step(update, grid), None)


def later_pass(update: LeastSquares, grid: FourierGrid, groups: int) -> Pass:
    """Infers with the model's posterior and gathers residuals for the noise."""
    residuals = eqx.filter_jit(
        lambda model, batch, latents: residual_power(model, batch, latents, grid, groups)
    )
    return Pass(update, grid, _compiled_step(update, grid), residuals)


def run_pass(
    how: Pass, maps: HalfMaps, loader: Loader, plan: Sequence[PlannedBatch], start: int
) -> Iterator[int]:
    """Runs batches `start` onwards of `plan`, changing `maps` in place; yields after each the
    number of images done by it."""
    batches = loader.batches([batch.rows for batch in plan[start:]])
    key = jax.random.key(0)  # no posterior of this pass draws
    before = None
    for planned, batch in zip(plan[start:], batches, strict=True):
        model = maps.models[planned.half]
        state, posterior, count = how.step(model, maps.states[planned.half], batch, key)
        maps.states[planned.half] = state
        # At most one batch is queued behind the one that computes: bounded memory, true progress.
        jax.block_until_ready(before)
        before = count
        if how.residuals is not None:
            latents = posterior.mean()
            power, images = to_host(how.residuals(model, batch, latents))
            maps.power += power
            maps.images += images
            rows = to_host((latents, batch.index, batch.weight))
            maps.latents.write(*rows)
        yield len(planned.rows)


def _compiled_step(update, grid):
    @eqx.filter_jit(donate="all-except-first")
    def step(others, state):
        model, batch, key = others
        _, state, posterior, metrics = update.step(model, state, batch, grid, key)
        return state, posterior, metrics["images"]

    return lambda model, state, batch, key: step((model, batch, key), state)


@final
@dataclass
class Clock:
    """Whether it is time for a checkpoint: `seconds` after the last, or, where several processes
    must agree without talking, after every `STRIDE` batches."""

    seconds: float
    last: float = field(default_factory=time.monotonic)
    batches: int = 0

    def due(self) -> bool:
        """Asked once after each batch."""
        self.batches += 1
        if jax.process_count() > 1:
            return self.batches % STRIDE == 0
        if time.monotonic() - self.last < self.seconds:
            return False
        self.last = time.monotonic()
        return True
