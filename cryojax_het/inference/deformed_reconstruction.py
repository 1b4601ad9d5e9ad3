"""Half-maps and the filtered reference map from images whose deformations are known.

One pass over the images gathers the right-hand sides; each further one is an iteration of
conjugate gradients, for both half-sets at once: their batches alternate. The half-maps' FSC gives
the prior of the map of all images, which a few more passes solve for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from ..imaging.noise import AbstractGaussianNoise
from ..particles.loader import Loader
from .devices import BATCH, WHOLE
from .half_maps import PlannedBatch
from .updates.conjugate_gradients import Progress, Stopping, advance, begin
from .updates.deformed_map import DeformedMap, Regulariser, RightHandSide, filtered, regulariser
from .updates.wiener import noise_to_signal

# How two half-maps agree, shell by shell; `analysis.fsc.masked_fsc` is one, `corrected`.
Compare = Callable[[np.ndarray, np.ndarray], Float[np.ndarray, " s"]]

GATHER, HALVES, LIFT, WHOLE_MAP, DONE = range(5)  # the stages, in order


@final
class DeformedReconstruction(eqx.Module):
    """All that stays the same.

    - `ratio`: `1/(τ²⟨L⟩)` of all images per shell, the prior of the half-maps: of a rigid
      consensus, or a small number for all shells.
    - `stopping`: of each solution, one pass per iteration.
    """

    model: DeformedMap
    noise: AbstractGaussianNoise
    grid: FourierGrid
    ratio: Float[Array, " s"]
    mesh: Mesh = eqx.field(static=True)
    stopping: Stopping = eqx.field(static=True, default=Stopping(1e-2, 20))

    def finished(self, at: Progress) -> bool:
        """Whether a solution is good enough, or has had its iterations."""
        enough = bool(at.relative() <= self.stopping.tolerance)
        return enough or int(at.iterations) >= self.stopping.limit


@final
@dataclass
class Course:
    """All that changes: a checkpoint of `tree()`, `stage` and `batch` resumes the run.

    - `stage`: GATHER, HALVES, LIFT, WHOLE_MAP or DONE; `batch`: how many of the pass are in `sums`;
    - `right`: of each half; `halves`, `whole`: the solutions' state; `ratio`: of the whole map;
    - `sums`: of this pass, what the operator makes of each half's vector.
    """

    right: list[RightHandSide]
    halves: list[Progress]
    whole: Progress
    ratio: Float[Array, " s"]
    sums: list[Float[Array, "n n n"]]
    stage: int = GATHER
    batch: int = 0

    def tree(self) -> dict[str, Any]:
        """The arrays; always of the same structure and shapes."""
        names = ("right", "halves", "whole", "ratio", "sums")
        return {name: getattr(self, name) for name in names}

    def take_up(self, tree: dict[str, Any], stage: int, batch: int) -> None:
        """As another run left it."""
        for name, value in tree.items():
            setattr(self, name, jax.tree.map(jnp.asarray, value))
        self.stage, self.batch = stage, batch

    def half_maps(self) -> list[Float[np.ndarray, "n n n"]]:
        """Each half-set's own solution, with the prior of the settings."""
        return [np.asarray(half.x) for half in self.halves]


def start(setting: DeformedReconstruction) -> Course:
    """Before the first pass."""
    zero = jnp.zeros_like(setting.model.support())
    number = jnp.zeros((), zero.dtype)
    nothing = Progress(zero, zero, zero, number, number, jnp.asarray(0))
    empty = RightHandSide(zero, jnp.zeros(setting.grid.size // 2 + 1, zero.dtype))
    return Course([empty] * 2, [nothing] * 2, nothing, setting.ratio, [zero] * 2)


def reconstruct_deformed(
    setting: DeformedReconstruction,
    loader: Loader,
    plan: Sequence[PlannedBatch],
    course: Course,
    compare: Compare,
) -> Iterator[int]:
    """Runs to the end, changing `course` in place; yields after each batch its number of images.

    Between any two batches a checkpoint may be made. The loader's latents hold the conformations.
    """
    while course.stage != DONE:
        yield from _one_pass(setting, loader, plan, course)
        _after(setting, course, compare)
        course.batch = 0
        course.sums = [jnp.zeros_like(part) for part in course.sums]


def _one_pass(setting: DeformedReconstruction, loader, plan, course: Course):
    solved = [course.stage == HALVES and setting.finished(half) for half in course.halves]
    left = plan[course.batch :]
    batches = loader.batches([planned.rows for planned in left if not solved[planned.half]])
    before = None
    for planned in left:
        if not solved[planned.half]:
            done = _add(setting, course, planned.half, next(batches))
            # At most one batch is queued behind the one that computes.
            jax.block_until_ready(before)
            before = done
        course.batch += 1
        yield len(planned.rows)


def _add(setting: DeformedReconstruction, course: Course, half: int, batch: Batch) -> Array:
    """A batch of a half-set into the sums of the stage; what tells that it is done."""
    if course.stage == GATHER:
        course.right[half] = _with_right(course.right[half], batch, setting)
        return course.right[half].weight
    vectors = {HALVES: course.halves[half].direction, LIFT: course.whole.x}
    vector = vectors.get(course.stage, course.whole.direction)
    course.sums[half] = _with_normal(course.sums[half], vector, batch, setting)
    return course.sums[half]


def _after(setting: DeformedReconstruction, course: Course, compare: Compare) -> None:
    """At the end of a pass: an iteration, and the next stage where this one is done."""
    if course.stage == GATHER:
        none = jnp.zeros_like(course.whole.x)
        how = _of_halves(setting, course)
        pairs = zip(how, course.right, strict=True)
        course.halves = [_begin(h, right.voxels, none, none) for h, right in pairs]
        course.stage = HALVES
    elif course.stage == HALVES:
        for half, how in enumerate(_of_halves(setting, course)):
            if not setting.finished(course.halves[half]):
                course.halves[half] = _advance(how, course.halves[half], course.sums[half])
        if all(map(setting.finished, course.halves)):
            _lift(setting, course, compare)
    else:
        right = _of_all(course)
        how, image = _regulariser(setting, right, course.ratio), course.sums[0] + course.sums[1]
        if course.stage == LIFT:
            course.whole = _begin(how, right.voxels, course.whole.x, image)
        else:
            course.whole = _advance(how, course.whole, image)
        course.stage = DONE if setting.finished(course.whole) else WHOLE_MAP


def _lift(setting: DeformedReconstruction, course: Course, compare: Compare) -> None:
    """The whole map's prior from the halves' FSC, and its start from the halves."""
    fsc = compare(*course.half_maps())
    # Nothing is let through beyond the first fall to zero: what rises again there is chance.
    fallen = np.flatnonzero(fsc[1:] <= 0)
    fsc = np.where(np.arange(len(fsc)) <= (fallen[0] if len(fallen) else len(fsc)), fsc, 0.0)
    course.ratio = noise_to_signal(jnp.asarray(fsc, course.whole.x.dtype))
    whole = _regulariser(setting, _of_all(course), course.ratio)
    # As if the images' weight were the same in all directions.
    parts = [
        how.support * filtered(whole.inverse / how.inverse, half.x)
        for how, half in zip(_of_halves(setting, course), course.halves, strict=True)
    ]
    course.whole = eqx.tree_at(lambda w: w.x, course.whole, parts[0] + parts[1])
    course.stage = LIFT


def _of_halves(setting: DeformedReconstruction, course: Course) -> list[Regulariser]:
    # Half the images have twice the noise-to-signal ratio of all.
    return [_regulariser(setting, right, 2 * setting.ratio) for right in course.right]


def _of_all(course: Course) -> RightHandSide:
    return jax.tree.map(jnp.add, *course.right)


def _regulariser(setting: DeformedReconstruction, right: RightHandSide, ratio) -> Regulariser:
    return regulariser(right.weight, ratio, setting.model.support(), setting.model.spacing)


@eqx.filter_jit
def _begin(how: Regulariser, right, start, image):
    return begin(right, how.precondition, start, image + how.prior(start))


@eqx.filter_jit
def _advance(how: Regulariser, at: Progress, image):
    return advance(at, image + how.prior(at.direction), how.precondition)


@eqx.filter_jit
def _with_right(total: RightHandSide, batch: Batch, setting: DeformedReconstruction):
    sums = lambda setting, batch: setting.model.right(batch, setting.noise, setting.grid)
    return jax.tree.map(jnp.add, total, _on_devices(sums, setting, batch, setting.mesh))


@eqx.filter_jit
def _with_normal(total: Array, vector: Array, batch: Batch, setting: DeformedReconstruction):
    def sums(whole, batch):
        vector, setting = whole
        return setting.model.normal(vector, batch, setting.noise, setting.grid)

    return total + _on_devices(sums, (vector, setting), batch, setting.mesh)


def _on_devices(sums, whole, batch: Batch, mesh: Mesh):
    """`sums(whole, batch)`, each device of `mesh` those of its own images."""
    arrays, rest = eqx.partition(whole, eqx.is_array)

    def own(arrays, batch):
        return jax.lax.psum(sums(eqx.combine(arrays, rest), batch), "data")

    specs = (WHOLE, BATCH)
    spread = jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=WHOLE, check_vma=False)
    return spread(arrays, batch)
