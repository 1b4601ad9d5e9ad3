"""One pass of EM for classes over two half-sets: sums of each, and the belief on each image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from ..particles.loader import HostLatents, Loader
from .class_halves import AbstractSignalRule, ClassHalves, compare_classes
from .devices import to_host
from .half_maps import PlannedBatch
from .model import Model
from .posterior import ClassBelief
from .updates.classes import AbstractClassUpdate

FLOOR = 1e-38


@final
@dataclass
class ClassTable:
    """Of all images, on the host: the probability of each class, the log-likelihood (NaN before the
    image is seen), and the most probable pose, shift and contrast."""

    probability: Float[np.ndarray, "n k"]
    log_likelihood: Float[np.ndarray, " n"]
    latents: HostLatents = field(repr=False)

    @classmethod
    def empty(cls, latents: HostLatents, count: int) -> "ClassTable":
        """No image seen; poses as in `latents`, which is not changed."""
        n = len(latents.contrast)
        own = HostLatents(*(np.array(x) for x in vars(latents).values()))
        return cls(np.zeros((n, count), np.float32), np.full(n, np.nan), own)

    def write(self, belief: ClassBelief, batch: Batch) -> None:
        """Rows of a batch; those of weight 0 are left out."""
        found = belief.probability(), belief.log_likelihood, belief.mean()
        (probability, likelihood, latents), index, weight = to_host(
            (found, batch.index, batch.weight)
        )
        real = weight > 0
        self.probability[index[real]] = probability[real]
        self.log_likelihood[index[real]] = likelihood[real]
        for name in ("rotation", "shift", "contrast"):
            getattr(self.latents, name)[index[real]] = getattr(latents, name)[real]

    @property
    def seen(self) -> Bool[np.ndarray, " n"]:
        """Images that are not left out."""
        return np.isfinite(self.log_likelihood)

    def shares(self) -> Float[np.ndarray, " k"]:
        """Mean responsibility of each class for images seen."""
        return self.probability[self.seen].mean(axis=0, dtype=np.float64)

    def mean_log_likelihood(self) -> float:
        """Of an image seen, nats."""
        return float(self.log_likelihood[self.seen].mean())

    def entropy(self) -> float:
        """Mean entropy of the responsibilities of images seen, nats: `ln K` where nothing is
        known."""
        r = np.asarray(self.probability[self.seen], np.float64)
        return float(-(r * np.log(np.maximum(r, FLOOR))).sum(axis=1).mean())


@final
@dataclass(frozen=True)
class ClassPass:
    """How a pass is made: the grid, and the compiled step `(model, state, batch) -> (state,
    belief)`."""

    update: AbstractClassUpdate
    grid: FourierGrid
    step: Callable


def class_pass(update: AbstractClassUpdate, grid: FourierGrid) -> ClassPass:
    """A pass over images of `grid`; compiled once for each posterior."""

    @eqx.filter_jit(donate="all-except-first")
    def compiled(others, state):
        model, batch, key = others
        _, state, belief, _ = update.step(model, state, batch, grid, key)
        return state, belief

    key = jax.random.key(0)  # no posterior here draws
    return ClassPass(update, grid, lambda model, state, batch: compiled((model, batch, key), state))


def run_class_pass(
    how: ClassPass,
    model: Model,
    states: list[Any],
    loader: Loader,
    plan: Sequence[PlannedBatch],
    table: ClassTable | None,
) -> Iterator[int]:
    """Adds the batches of `plan` to the `states` of the half-sets, in place, and writes to `table`
    what is found; yields after each the number of its images."""
    model = eqx.tree_at(lambda m: m.volume, model, _prepared(model.volume, how.grid))
    batches = loader.batches([batch.rows for batch in plan])
    for planned, batch in zip(plan, batches, strict=True):
        states[planned.half], belief = how.step(model, states[planned.half], batch)
        if table is not None:
            table.write(belief, batch)
        yield len(planned.rows)


def infer_rows(
    infer: Callable[[Model, Batch], ClassBelief],
    model: Model,
    loader: Loader,
    rows: Sequence[np.ndarray],
    table: ClassTable,
) -> None:
    """Writes to `table` what is believed of the images of `rows`, the model left as it is."""
    for batch in loader.batches(rows):
        table.write(infer(model, batch), batch)


@eqx.filter_jit
def close_pass(
    update: AbstractClassUpdate, model: Model, states: list[Any], rule: AbstractSignalRule
) -> tuple[Model, list[Any], ClassHalves]:
    """The end of a pass: volumes and populations from both half-sets, under priors that their
    comparison gives by `rule`; states for the next; and the half-maps."""
    states = [update.closed(state) for state in states]
    sums = [update.total(state) for state in states]
    halves = compare_classes((sums[0], sums[1]), update.mask, update.spacing)
    signal = rule.signal(halves)
    model = update.solved(model, sums[0].plus(sums[1]), signal)
    return model, [update.opened(state, signal) for state in states], halves


@eqx.filter_jit
def _prepared(volume, grid):
    return volume.prepare(grid)
