"""EM for principal volumes from a start, and how many of them there are."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inference.devices import to_host
from ..inference.linear_statistics import linear_statistics
from ..inference.model import Model
from ..inference.posteriors.band_limited import without_shells
from ..inference.posteriors.linear_gaussian import of_statistics
from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from ..volumes.kernel import quadratic
from ..volumes.linear import LinearVolume, linear_of, stacked
from .image_pass import image_pass
from .linear_setting import LinearSetting

LOG = logging.getLogger("cryojax_het")
_LAST = 3  # passes over all images, the held-out ones too, once the number is chosen
_SPARE = 2  # components that EM is given beyond those that the start is told to have


@final
@dataclass(frozen=True)
class Fitted:
    """Mean and components, stacked, `[q, b, b, b]`, and their priors `τ²` per shell.

    - `covariance`: of one Fourier coefficient of each, per shell; zero where taken as known.
    - `held_out`: mean log-likelihood gain of held-out images by number of components, from 0.
    """

    volumes: Float[np.ndarray, "q b b b"]
    power: Float[np.ndarray, "q s"]
    covariance: Float[np.ndarray, "s q q"]
    held_out: list[float]


@final
@dataclass(frozen=True)
class Place:
    """Where a fit stands: passes done, the latest log-likelihood per image, whether it changes
    little, and whether the number of components is chosen."""

    done: int = 0
    gain: float = -np.inf
    settled: bool = False
    chosen: bool = False


Start = Callable[[LinearSetting], Fitted]


def fit_components(setting: LinearSetting, folder: RunFolder, start: Start) -> Fitted:
    """Mean and components at the box of the latents; a checkpoint is left after every pass."""
    fitted, place = _resume(setting, folder, start)
    every = np.arange(len(setting.data.particles))
    rows = np.setdiff1d(every, setting.held_out)
    if not place.chosen:
        fitted, place = _until_settled(setting, folder, fitted, place, rows)
    if setting.config.components is None and not place.chosen:
        fitted = choose_count(setting, fitted, spare=0)
        place = Place(chosen=True)
        _save(folder, fitted, place)
    if len(setting.held_out):
        for done in range(place.done, _LAST):
            fitted, gain = em_pass(setting, fitted, every, f"all images {done + 1}/{_LAST}")
            place = replace(place, done=done + 1, gain=gain)
            _save(folder, fitted, place)
    return fitted


def _until_settled(setting, folder, fitted, place, rows):
    """Passes until the likelihood changes little. It may fall: priors that tighten take back what
    the components had learnt of the noise."""
    config = setting.config
    while place.done < config.iterations and not place.settled:
        name = f"pass {place.done + 1}/{config.iterations}"
        fitted, gain = em_pass(setting, fitted, rows, name)
        settled = abs(gain - place.gain) < config.tolerance
        place = replace(place, done=place.done + 1, gain=gain, settled=settled)
        _save(folder, fitted, place)
        _report(folder, fitted, place)
    return fitted, place


def em_pass(setting: LinearSetting, fitted: Fitted, rows, name: str) -> tuple[Fitted, float]:
    """One pass of EM over `rows`; the model after it, and the log-likelihood gain per image of
    the model before it over no particle at all."""
    box, count = fitted.volumes.shape[-1], len(fitted.volumes) - 1
    update, grid, loader = setting.update(box, count), setting.grid(box), setting.loader(box)
    model = _model(setting, fitted)
    state = update.under(jnp.asarray(fitted.power))
    total = 0.0
    for batch in image_pass(loader, setting.plan(rows, loader), name):
        state, gain = _step(update, (model, batch, grid), state)
        gain, weight = to_host((gain, batch.weight))
        total += float(gain @ weight)
    model, state = _swept(update, model, state)
    found = Fitted(
        volumes=np.asarray(stacked(model.volume)),
        power=np.asarray(state.power),
        covariance=np.asarray(model.volume.covariance),
        held_out=fitted.held_out,
    )
    return found, total / len(rows)


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


def linear_volume_of(setting: LinearSetting, fitted: Fitted) -> LinearVolume:
    """Mean and components as a volume, with what is uncertain of them."""
    spacing = setting.grid(fitted.volumes.shape[-1]).pixel_size
    covariance = jnp.asarray(fitted.covariance)
    return linear_of(jnp.asarray(fitted.volumes), spacing, quadratic(), covariance)


def _model(setting: LinearSetting, fitted: Fitted) -> Model:
    # Volumes taken for known: with their covariance in every pass, components that images tell
    # little of are taken for noise, and vanish.
    spacing = setting.grid(fitted.volumes.shape[-1]).pixel_size
    volume = linear_of(jnp.asarray(fitted.volumes), spacing, quadratic())
    posterior = setting.posterior(fitted.volumes.shape[-1])
    return Model(volume, setting.noise, setting.prior, posterior)


def choose_count(setting: LinearSetting, fitted: Fitted, spare: int) -> Fitted:
    """The least number of leading components under which held-out images are, within the
    tolerance, most likely; and `spare` more, where there are."""
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
        "Held-out gain in log-likelihood by number of components: %s; %d, and %d to spare.",
        ", ".join(f"{k}: {x - held_out[0]:.3f}" for k, x in enumerate(held_out)),
        best,
        min(spare, count - best),
    )
    kept = slice(0, best + spare + 1)
    covariance = fitted.covariance[:, kept, kept]
    return Fitted(fitted.volumes[kept], fitted.power[kept], covariance, held_out)


def _report(folder, fitted, place):
    norms = np.linalg.norm(fitted.volumes[1:].reshape(len(fitted.volumes) - 1, -1), axis=1)
    shares = norms**2 / np.sum(fitted.volumes[0] ** 2)
    text = " ".join(f"{share:.4f}" for share in shares)
    LOG.info(
        "Pass %d: gain %.3f per image; power over the mean's: %s", place.done, place.gain, text
    )
    if jax.process_index() == 0:
        folder.log(place.done, log_likelihood=place.gain, power=shares.tolist())


def _save(folder: RunFolder, fitted: Fitted, place: Place) -> None:
    if jax.process_index() != 0:
        return
    tree = {name: getattr(fitted, name) for name in ("volumes", "power", "covariance")}
    note: dict[str, Any] = {"place": vars(place), "held_out": fitted.held_out}
    note["shape"] = list(fitted.volumes.shape)
    save_checkpoint(folder.checkpoints, 1000 * place.chosen + place.done, tree, note)


def _resume(setting: LinearSetting, folder: RunFolder, start: Start) -> tuple[Fitted, Place]:
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        fitted = start(setting)
        if setting.config.components is None:
            # EM with components that nothing is told of takes as long, and they vanish.
            fitted = choose_count(setting, fitted, _SPARE)
        _save(folder, fitted, Place())
        return fitted, Place()
    note = checkpoint_note(path)
    shape = note["shape"]
    count, shells = shape[0], shape[-1] // 2 + 1
    shapes = {"volumes": shape, "power": (count, shells), "covariance": (shells, count, count)}
    tree = load_checkpoint(path, {name: np.zeros(s, np.float32) for name, s in shapes.items()})
    place = Place(**note["place"])
    LOG.info("Taken up after pass %d.", place.done)
    return Fitted(**tree, held_out=note["held_out"]), place
