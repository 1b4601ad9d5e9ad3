"""Checkpoints of a classification: after each pass, enough to go on to the bit-equal result."""

import logging
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

import jax
import numpy as np
from jaxtyping import Float

from ..inference.class_reseeding import Emptiness
from ..results.checkpoint import (
    checkpoint_note,
    checkpoint_step,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from .classes_course import Course, model_of, new_course
from .classes_setting import ClassesSetting

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True)
class Fitted:
    """Volumes and populations at the end of a fit, and how empty classes were treated."""

    voxels: Float[np.ndarray, "k n n n"] = field(repr=False)
    population: Float[np.ndarray, " k"]
    seed: int
    reseeded: int
    dropped: tuple[int, ...]


@final
@dataclass
class Progress:
    """Passes done in all fits; `held_out` of those that are done; the best of them, and the course
    of the present one."""

    step: int = 0
    held_out: list[dict[str, Any]] = field(default_factory=list)
    best: Fitted | None = None
    course: Course | None = None


def fitted(course: Course) -> Fitted:
    """Where a course has come to."""
    empty = course.emptiness
    voxels = course.voxels()
    return Fitted(voxels, course.population(), course.seed, empty.reseeded, empty.dropped)


def save(folder: RunFolder, setting: ClassesSetting, progress: Progress) -> None:
    """A checkpoint after `progress.step` passes."""
    tree = _arrays(setting, progress.course, progress.best)  # every process takes part
    note: dict[str, Any] = {"held_out": progress.held_out, "best": None, "course": None}
    if progress.best is not None:
        about = {
            k: v for k, v in asdict(progress.best).items() if k not in ("voxels", "population")
        }
        note["best"] = about | {"count": len(progress.best.population)}
    course = progress.course
    if course is not None:
        names = ("count", "seed", "iteration", "log_likelihood", "gained")
        note["course"] = {name: getattr(course, name) for name in names}
        empty = course.emptiness
        note["course"]["emptiness"] = asdict(empty) | {"passes": empty.passes.tolist()}
    if jax.process_index() == 0:
        save_checkpoint(folder.checkpoints, progress.step, tree, note)


def resume(folder: RunFolder, setting: ClassesSetting) -> Progress:
    """Progress as the latest checkpoint has it; none where there is none."""
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        return Progress()
    note, size = checkpoint_note(path), setting.data.size
    blank = lambda count: np.zeros((count, size, size, size), np.float32)
    best, course = None, None
    if note["best"] is not None:
        about = dict(note["best"])
        count = about.pop("count")
        about["dropped"] = tuple(about["dropped"])
        best = Fitted(blank(count), np.zeros(count, np.float32), **about)
    if note["course"] is not None:
        course = _blank_course(setting, dict(note["course"]))
    tree = load_checkpoint(path, _arrays(setting, course, best))
    if best is not None:
        best = replace(best, **tree["best"])
    if course is not None:
        course.model = model_of(setting, **tree["course"])
        kept = tree["states"]
        course.states = setting.algorithm.restored(setting.update, course.model, kept)
        LOG.info("Taken up after pass %d of %d classes.", course.iteration, course.count)
    return Progress(checkpoint_step(path), note["held_out"], best, course)


def _blank_course(setting, about):
    empty = about.pop("emptiness")
    passes, dropped = np.asarray(empty.pop("passes"), np.int64), tuple(empty.pop("dropped"))
    course = new_course(setting, about.pop("count"), about.pop("seed"))
    course.emptiness = Emptiness(passes, dropped=dropped, **empty)
    about["gained"] = tuple(about["gained"])
    return replace(course, **about)


def _arrays(setting, course: Course | None, best: Fitted | None) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    if best is not None:
        tree["best"] = {"voxels": best.voxels, "population": best.population}
    if course is not None:
        voxels = course.voxels()
        tree["course"] = {"voxels": voxels, "population": course.population()}
        tree["states"] = setting.algorithm.kept(course.states)
    return tree
