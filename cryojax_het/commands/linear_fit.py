"""EM for principal volumes, from coarse to fine, and how many of them there are."""

import logging
import sys
from dataclasses import dataclass, replace
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ..analysis.fourier_resample import resample_box
from ..inference.devices import to_host
from ..inference.linear_statistics import linear_statistics
from ..inference.model import Model
from ..inference.posteriors.band_limited import without_shells
from ..inference.posteriors.linear_gaussian import of_statistics
from ..inference.updates.principal_volumes import linear_of, shell_power, stacked
from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from ..volumes.kernel import quadratic
from .linear_setting import LinearSetting

LOG = logging.getLogger("cryojax_het")
_START = 0.1  # of the mean's power: the prior of components before any is known
_SMOOTH = 4.0  # shells: the envelope of random starts
_LAST = 3  # passes over all images, the held-out ones too, once the number is chosen


@final
@dataclass(frozen=True)
class Fitted:
    """Mean and components, stacked, `[q, b, b, b]`, and their priors `τ²` per shell.

    - `held_out`: mean log-likelihood gain of held-out images by number of components, from 0.
    """

    volumes: Float[np.ndarray, "q b b b"]
    power: Float[np.ndarray, "q s"]
    held_out: list[float]


@final
@dataclass(frozen=True)
class Place:
    """Where a fit stands: the stage, passes done in it, the latest log-likelihood per image."""

    stage: int = 0
    done: int = 0
    gain: float = -np.inf
    chosen: bool = False


def fit_components(setting: LinearSetting, folder: RunFolder) -> Fitted:
    """Mean and components at the box of the latents; a checkpoint is left after every pass."""
    fitted, place = _resume(setting, folder)
    every = np.arange(len(setting.data.particles))
    rows = np.setdiff1d(every, setting.held_out)
    while place.stage < len(setting.stages):
        box = setting.stages[place.stage]
        fitted = _at_box(setting, fitted, box)
        fitted, place = _stage(setting, folder, fitted, place, rows)
        place = replace(place, stage=place.stage + 1, done=0, gain=-np.inf)
        _save(setting, folder, fitted, place)
    if setting.config.components is None and not place.chosen:
        fitted = choose_count(setting, fitted)
        place = replace(place, chosen=True)
        _save(setting, folder, fitted, place)
    if len(setting.held_out):
        for done in range(place.done, _LAST):
            fitted, gain = em_pass(setting, fitted, every, f"all images {done + 1}/{_LAST}")
            place = replace(place, done=done + 1, gain=gain)
            _save(setting, folder, fitted, place)
    return fitted


def _stage(setting, folder, fitted, place, rows):
    """Passes at one box until they gain little."""
    config, box = setting.config, setting.stages[place.stage]
    while place.done < config.iterations:
        name = f"box {box}, pass {place.done + 1}/{config.iterations}"
        fitted, gain = em_pass(setting, fitted, rows, name)
        gained = gain - place.gain
        place = replace(place, done=place.done + 1, gain=gain)
        _save(setting, folder, fitted, place)
        _report(setting, folder, fitted, place)
        if gained < config.tolerance:
            break
    return fitted, place


def em_pass(setting: LinearSetting, fitted: Fitted, rows, name: str) -> tuple[Fitted, float]:
    """One pass of EM over `rows`; the model after it, and the log-likelihood gain per image of
    the model before it over no particle at all."""
    box, count = fitted.volumes.shape[-1], len(fitted.volumes) - 1
    update, grid, loader = setting.update(box, count), setting.grid(box), setting.loader(box)
    model = _model(setting, fitted)
    state = update.under(jnp.asarray(fitted.power))
    plan = setting.plan(rows, loader)
    total = 0.0
    hidden = jax.process_index() != 0
    with tqdm(total=len(rows), desc=name, unit=" images", disable=hidden, file=sys.stderr) as bar:
        for part, batch in zip(plan, loader.batches(plan), strict=True):
            state, gain = _step(update, (model, batch, grid), state)
            gain, weight = to_host((gain, batch.weight))
            total += float(gain @ weight)
            bar.update(len(part))
    model, state = _swept(update, model, state)
    volumes = np.asarray(stacked(model.volume))
    return replace(fitted, volumes=volumes, power=np.asarray(state.power)), total / len(rows)


@eqx.filter_jit
def _step(update, others, state):
    model, batch, grid = others
    _, state, posterior, _ = update.step(model, state, batch, grid, jax.random.key(0))
    # Not their sum: while one virtual CPU device waited in it for another, the threads that the
    # other needs could all be taken.
    return state, posterior.log_likelihood


@eqx.filter_jit
def _swept(update, model, state):
    return update.sweep(model, state)


def _model(setting: LinearSetting, fitted: Fitted) -> Model:
    box = fitted.volumes.shape[-1]
    spacing = setting.grid(box).pixel_size
    volume = linear_of(jnp.asarray(fitted.volumes), spacing, quadratic())
    return Model(volume, setting.noise, setting.prior, setting.posterior(box))


def _start(setting: LinearSetting) -> Fitted:
    """The consensus, and smooth random components, a tenth of its power each."""
    box = setting.stages[0]
    rng = np.random.default_rng(setting.config.seed)
    mean = setting.mean(box) * setting.mask(box)
    frequency = np.fft.fftfreq(box, 1 / box)
    radius = frequency[:, None, None] ** 2 + frequency[:, None] ** 2
    radius = radius + np.arange(box // 2 + 1) ** 2
    envelope = np.exp(-0.5 * radius / _SMOOTH**2)
    components = []
    for _ in range(setting.config.largest):
        white = np.fft.rfftn(rng.normal(size=(box,) * 3))
        smooth = np.fft.irfftn(white * envelope, s=(box,) * 3, axes=(0, 1, 2)) * setting.mask(box)
        components.append(smooth * np.sqrt(_START) * np.linalg.norm(mean) / np.linalg.norm(smooth))
    volumes = np.stack([mean, *components]).astype(np.float32)
    return Fitted(volumes, _first_power(setting, box), [])


def _first_power(setting, box) -> Float[np.ndarray, "q s"]:
    """Priors before anything is known: the mean's own, and a share of it for each component."""
    spacing = setting.grid(box).pixel_size
    mean = np.asarray(shell_power(jnp.asarray(setting.mean(box)[None], jnp.float32), spacing))
    return np.concatenate([mean, np.repeat(_START * mean, setting.config.largest, axis=0)])


def _at_box(setting: LinearSetting, fitted: Fitted, box: int) -> Fitted:
    """The same model in a larger box; shells that are new get the first priors."""
    old = fitted.volumes.shape[-1]
    if old == box:
        return fitted
    volumes = np.stack([resample_box(v, box) for v in fitted.volumes])
    # The mean of the smaller box lacks the new frequencies.
    volumes[0] = setting.mean(box) * setting.mask(box)
    power = _first_power(setting, box)[: len(volumes)]
    power[:, : old // 2] = fitted.power[:, : old // 2]
    return replace(fitted, volumes=volumes.astype(np.float32), power=power)


def choose_count(setting: LinearSetting, fitted: Fitted) -> Fitted:
    """The least number of leading components under which held-out images are, within the
    tolerance, most likely."""
    box = fitted.volumes.shape[-1]
    loader, grid, model = setting.loader(box), setting.grid(box), _model(setting, fitted)
    prior = (setting.prior.contrast_mean, setting.prior.contrast_width)
    count = len(fitted.volumes) - 1

    @eqx.filter_jit
    def gains(model, batch):
        noise = without_shells(model.noise, setting.first_shell, grid)
        found = linear_statistics(model.volume.prepare(grid), noise, batch, grid)
        one = lambda k: of_statistics(found.leading(k), prior, batch.latents).log_likelihood
        return jnp.stack([batch.weight @ one(k) for k in range(count + 1)])

    plan = setting.plan(setting.held_out, loader)
    totals = [np.asarray(to_host(gains(model, batch))) for batch in loader.batches(plan)]
    held_out = (np.sum(totals, axis=0) / len(setting.held_out)).tolist()
    enough = max(held_out) - setting.config.tolerance
    best = max(1, next(k for k, x in enumerate(held_out) if x >= enough))
    LOG.info(
        "Held-out gain in log-likelihood by number of components: %s; %d are kept.",
        ", ".join(f"{k}: {x - held_out[0]:.3f}" for k, x in enumerate(held_out)),
        best,
    )
    return Fitted(fitted.volumes[: best + 1], fitted.power[: best + 1], held_out)


def _report(setting, folder, fitted, place):
    norms = np.linalg.norm(fitted.volumes[1:].reshape(len(fitted.volumes) - 1, -1), axis=1)
    shares = norms**2 / np.sum(fitted.volumes[0] ** 2)
    box = setting.stages[place.stage]
    text = " ".join(f"{share:.4f}" for share in shares)
    LOG.info(
        "Box %d, pass %d: gain %.3f per image; power over the mean's: %s",
        box,
        place.done,
        place.gain,
        text,
    )
    if jax.process_index() == 0:
        step = place.stage * setting.config.iterations + place.done
        folder.log(step, box=box, log_likelihood=place.gain, power=shares.tolist())


def _save(setting, folder: RunFolder, fitted: Fitted, place: Place) -> None:
    if jax.process_index() != 0:
        return
    step = (place.stage + place.chosen) * 1000 + place.done
    tree = {"volumes": fitted.volumes, "power": fitted.power}
    note: dict[str, Any] = {"place": vars(place), "held_out": fitted.held_out}
    note["shape"] = list(fitted.volumes.shape)
    save_checkpoint(folder.checkpoints, step, tree, note)


def _resume(setting: LinearSetting, folder: RunFolder) -> tuple[Fitted, Place]:
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        return _start(setting), Place()
    note = checkpoint_note(path)
    shape = note["shape"]
    power = np.zeros((shape[0], shape[-1] // 2 + 1), np.float32)
    like = {"volumes": np.zeros(shape, np.float32), "power": power}
    tree = load_checkpoint(path, like)
    place = Place(**note["place"])
    LOG.info("Taken up at stage %d, pass %d.", place.stage + 1, place.done + 1)
    return Fitted(tree["volumes"], tree["power"], note["held_out"]), place
