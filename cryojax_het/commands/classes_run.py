"""All fits of a classification, the choice among them, and what is left in the run folder."""

import logging
import time
from collections.abc import Sequence

import jax

from ..inference.devices import data_mesh
from ..results.run import RunFolder
from .classes_checkpoint import Progress, fitted, resume, save
from .classes_course import held_out_log_likelihood, lay_down_start, new_course, one_pass
from .classes_output import write_outputs
from .classes_setting import ClassesSetting
from .fit_classes import ClassesConfig
from .one_run import in_run_folder
from .reconstruct_data import Data

LOG = logging.getLogger("cryojax_het")


def run(config: ClassesConfig, data: Data, command: Sequence[str]) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""
    return in_run_folder(config, command, lambda folder: _fits(config, data, folder))


def _fits(config: ClassesConfig, data: Data, folder: RunFolder) -> dict:
    began = time.monotonic()
    setting = ClassesSetting(config, data, data_mesh())
    progress = resume(folder, setting)
    candidates = config.candidates()
    while len(progress.held_out) < len(candidates):
        _one_fit(setting, folder, progress, candidates[len(progress.held_out)])
    assert progress.best is not None
    summary = write_outputs(setting, folder, progress.best)
    summary |= {"held_out": progress.held_out, "seconds": time.monotonic() - began}
    if jax.process_index() == 0:
        folder.finish(summary)
    return summary


def _one_fit(
    setting: ClassesSetting, folder: RunFolder, progress: Progress, candidate: tuple[int, int]
) -> None:
    """One number of classes and one start, to the end; the better of it and the best so far."""
    course = progress.course
    if course is None:
        course = progress.course = new_course(setting, *candidate)
        lay_down_start(setting, course)
    while not course.done(setting):
        said = one_pass(setting, course)
        progress.step += 1
        if jax.process_index() == 0:
            folder.log(progress.step, **said)
        save(folder, setting, progress)
    score = held_out_log_likelihood(setting, course)
    others = [entry["log_likelihood"] for entry in progress.held_out]
    if score is None or all(score > other for other in others):
        progress.best = fitted(course)
    entry = {"classes": course.count, "seed": course.seed, "log_likelihood": score}
    progress.held_out.append(entry | {"passes": course.iteration})
    progress.course = None
    LOG.info(
        "%d classes, seed %d: %d passes, log-likelihood per image %.4f (held out: %s).",
        course.count,
        course.seed,
        course.iteration,
        course.log_likelihood,
        "none" if score is None else f"{score:.4f}",
    )
    progress.step += 1
    save(folder, setting, progress)
