"""Epochs of training: stages, checkpoints, curves, and a stop where numbers run away."""

import logging
import sys
from dataclasses import dataclass, replace
from typing import final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree
from tqdm import tqdm

from ..inference.devices import replicated, to_host
from ..inference.model import Model
from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from .training_setting import TrainingSetting
from .training_stage import AbstractStage

LOG = logging.getLogger("cryojax_het")
_MOST_LOST = 0.1  # of an epoch's images in batches without a finite gradient


@final
@dataclass(frozen=True)
class Place:
    """Stages and epochs done."""

    stage: int = 0
    epoch: int = 0


def train(setting: TrainingSetting, folder: RunFolder) -> Model:
    """All stages, or what an earlier run left over.

    Raises `FloatingPointError`, with the remedy, where training runs away; the last checkpoint is
    from before.
    """
    stages = setting.stages()
    model, place, stored = _resume(setting, folder)
    while place.stage < len(stages):
        stage = stages[place.stage]
        started = stage.prepared if stored is None else stage.shaped
        model = started(setting, model)
        model = replicated(setting.mesh, model)
        update = stage.update(setting, model)
        state = replicated(setting.mesh, update.init(model))
        if stored is not None:
            tree = load_checkpoint(stored, {"model": model, "state": state})
            model, state, stored = tree["model"], tree["state"], None
        while place.epoch < stage.epochs:
            model, state, said = _epoch(setting, (stage, update), (model, state), place)
            place = replace(place, epoch=place.epoch + 1)
            _check(said, folder)
            _report(folder, stage, place, said)
            _save(folder, model, state, place)
            if jax.process_index() == 0:
                setting.look(folder, model)
        place = Place(place.stage + 1)
    return model


def _epoch(setting: TrainingSetting, how, start, place: Place):
    """Every image once; the model, the optimiser's state, and sums over images."""
    (stage, update), (model, state) = how, start
    number = 1000 * place.stage + place.epoch
    key = jax.random.fold_in(jax.random.key(setting.config.seed), number)
    update = stage.scheduled(update, model, place.epoch, key)
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    plan = setting.epoch_plan(number, loader)
    hidden, sums = jax.process_index() != 0, []
    name = f"{stage.name} {place.epoch + 1}/{stage.epochs}"
    total = len(setting.data.particles)
    with tqdm(total=total, desc=name, unit=" images", disable=hidden, file=sys.stderr) as bar:
        for step, (part, batch) in enumerate(zip(plan, loader.batches(plan), strict=True)):
            own = jax.random.fold_in(key, step)
            model, state, found = _step(update, model, state, (batch, grid, own))
            sums.append(found)
            bar.update(len(part))
    rows = to_host(sums)
    return model, state, jax.tree.map(lambda *x: np.sum(np.stack(x), axis=0), *rows)


@eqx.filter_jit
def _step(update, model, state, others):
    batch, grid, key = others
    model, state, _, metrics = update.step(model, state, batch, grid, key)
    return model, state, metrics


def _check(said: dict[str, np.ndarray], folder: RunFolder) -> None:
    lost = float(said["not_finite"] / said["images"])
    if lost > _MOST_LOST:
        raise FloatingPointError(
            f"{folder.path}: {lost:.0%} of the last epoch's images gave no finite gradient. Lower "
            "`--rate` or `--clip` in a new run; the last checkpoint is from before."
        )


def _report(folder: RunFolder, stage: AbstractStage, place: Place, said: dict) -> None:
    mean = {name: np.asarray(total / said["images"]) for name, total in said.items()}
    LOG.info(
        "%s %d: bound %.4f per image, gain %.4f, divergence %s.",
        stage.name,
        place.epoch,
        float(mean["gain"] - mean["divergence"].sum()),
        float(mean["gain"]),
        " ".join(f"{x:.3f}" for x in np.atleast_1d(mean["divergence"])),
    )
    if jax.process_index() == 0:
        numbers = {name: values.tolist() for name, values in mean.items() if name != "images"}
        folder.log(1000 * place.stage + place.epoch, stage=stage.name, **numbers)


def _save(folder: RunFolder, model: Model, state: PyTree, place: Place) -> None:
    if jax.process_index() != 0:
        return
    step = 1000 * place.stage + place.epoch
    save_checkpoint(folder.checkpoints, step, {"model": model, "state": state}, vars(place))


def _resume(setting: TrainingSetting, folder: RunFolder):
    """The untrained model, where training stands, and the checkpoint that holds it."""
    model, path = setting.untrained(), latest_checkpoint(folder.checkpoints)
    if path is None:
        return model, Place(), None
    place = Place(**checkpoint_note(path))
    LOG.info("Taken up after epoch %d of stage %d.", place.epoch, place.stage + 1)
    return model, place, path
