"""EM for a hyper-molecule: functions of rising order, pass by pass."""

import logging
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inference.devices import to_host
from ..inference.hyper_molecules.coefficient_prior import learned_variance
from ..inference.model import Model
from ..inference.updates.hyper_molecule import HyperMoleculeUpdate
from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from ..volumes.expanded import Expanded
from ..volumes.prolate.projection import projected
from .fit_linear import LinearConfig
from .image_pass import image_pass
from .linear_basis import volumes_in_bases
from .linear_columns import ColumnBases
from .linear_setting import LinearSetting
from .prolate_setting import ProlateSetting

LOG = logging.getLogger("cryojax_het")
_STRIDE = 1000  # passes of an order, at most
_FAINT = 0.1  # of the prior's widths: noise that the terms may start from


@final
@dataclass(frozen=True)
class Place:
    """Where a fit stands: the order, passes done with it, the latest log-likelihood per image."""

    order: int = 1
    done: int = 0
    gain: float = -np.inf


class Fitted(NamedTuple):
    """Coefficients, and the prior variances that were learned with them."""

    coefficients: Float[np.ndarray, "k p"]
    variance: Float[np.ndarray, "k p"]


def fit_coefficients(setting: ProlateSetting, folder: RunFolder) -> Fitted:
    """Coefficients of all orders; a checkpoint is left after every pass."""
    coefficients, variance, place = _resume(setting, folder)
    while place.order <= setting.config.order:
        name = f"order {place.order}, pass {place.done + 1}/{setting.config.iterations}"
        coefficients, variance, gain = em_pass(setting, coefficients, variance, place.order, name)
        LOG.info("Order %d, pass %d: gain %.3f per image.", place.order, place.done + 1, gain)
        settled = abs(gain - place.gain) < setting.config.tolerance
        place = replace(place, done=place.done + 1, gain=gain)
        if jax.process_index() == 0:
            step = place.order * _STRIDE + place.done
            folder.log(step, order=place.order, log_likelihood=gain)
        if settled or place.done == setting.config.iterations:
            place = Place(order=place.order + 1)
        _save(folder, coefficients, variance, place)
    return Fitted(coefficients, variance)


def em_pass(
    setting: ProlateSetting, coefficients, variance, order: int, name: str
) -> tuple[Float[np.ndarray, "k p"], Float[np.ndarray, "k p"], float]:
    """One pass of EM over all images with the functions up to `order`: coefficients, the prior
    variances that follow from them, and the log-likelihood gain per image of the model before it
    over no particle at all."""
    update, loader, grid = setting.update, setting.loader(setting.box), setting.latent_grid
    a, held = jnp.asarray(coefficients), setting.functions.orders() <= order
    model = Model(expanded(update, a), setting.noise, setting.prior, setting.posterior)
    state = update.under(a, jnp.asarray(variance * held, a.dtype))
    rows = np.arange(len(setting.data.particles))
    total = 0.0
    for batch in image_pass(loader, setting.plan(rows, loader), name):
        state, gain = _step(update, (model, batch, grid), state)
        gain, weight = to_host((gain, batch.weight))
        total += float(gain @ weight)
    state = _swept(update, model, state)
    learned = np.asarray(learned_variance(setting.basis, state.coefficients, state.uncertain))
    return np.asarray(state.coefficients), np.where(held, learned, variance), total / len(rows)


@eqx.filter_jit
def expanded(update: HyperMoleculeUpdate, coefficients: Float[jax.Array, "k p"]) -> Expanded:
    """The molecule as voxels of each term."""
    return update.volume(coefficients).expanded(update.grid, update.kernel)


@eqx.filter_jit
def _step(update, others, state):
    model, batch, grid = others
    _, state, posterior, _ = update.step(model, state, batch, grid, jax.random.key(0))
    # Not their sum: see `linear_fit`.
    return state, posterior.log_likelihood


@eqx.filter_jit
def _swept(update, model, state):
    return update.sweep(model, state)[1]


def _start(setting: ProlateSetting) -> Float[np.ndarray, "k p"]:
    """The consensus, and terms of first order."""
    config, functions = setting.config, setting.functions
    start = np.zeros((setting.basis.size, functions.count), np.float32)
    start[:, 0] = np.asarray(setting.consensus_coefficients)
    first = np.flatnonzero(functions.orders() == 1)
    start[:, first] = STARTS[config.start](setting, len(first))
    return start


def _principal(setting: ProlateSetting, count: int) -> Float[np.ndarray, "k p"]:
    """Leading principal volumes, as many as there are terms."""
    about = {"components": count, "contrast": setting.config.contrast, "latent_box": setting.box}
    config = LinearConfig(**setting.config.shared(), **about)
    linear = LinearSetting(config, setting.data, setting.consensus, setting.mesh)
    found = volumes_in_bases(linear, ColumnBases()).volumes[1:]
    maps = jnp.asarray(found, jnp.float32)
    return np.asarray(eqx.filter_jit(projected)(setting.basis, maps, setting.latent_grid))


def _random(setting: ProlateSetting, count: int) -> Float[np.ndarray, "k p"]:
    """Faint noise of the prior's spectrum."""
    rng = np.random.default_rng(setting.config.seed)
    first = np.flatnonzero(setting.functions.orders() == 1)
    width = np.sqrt(np.asarray(setting.variance)[:, first])
    return _FAINT * width * rng.normal(size=(setting.basis.size, count))


STARTS = {"principal": _principal, "random": _random}


def _save(folder: RunFolder, coefficients, variance, place: Place) -> None:
    if jax.process_index() == 0:
        note = {"place": asdict(place), "shape": list(coefficients.shape)}
        tree = {"coefficients": coefficients, "variance": variance}
        save_checkpoint(folder.checkpoints, place.order * _STRIDE + place.done, tree, note)


def _resume(setting: ProlateSetting, folder: RunFolder):
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        return _start(setting), np.asarray(setting.variance), Place()
    note = checkpoint_note(path)
    empty = np.zeros(note["shape"], np.float32)
    tree = load_checkpoint(path, {"coefficients": empty, "variance": empty})
    place = Place(**note["place"])
    LOG.info("Taken up at order %d after %d passes.", place.order, place.done)
    return tree["coefficients"], tree["variance"], place
