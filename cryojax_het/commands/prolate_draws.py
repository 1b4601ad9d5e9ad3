"""Draws of a hyper-molecule after its fit: how sure its maps are, voxel by voxel."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inference.chain_diagnostics import bulk_size, r_hat
from ..inference.devices import to_host
from ..inference.map_draws import maps_of, mean_and_deviation
from ..inference.model import Model
from ..inference.posteriors.as_given import AsGiven
from ..inference.updates.hyper_molecule_draws import HyperMoleculeSweep
from ..particles.mrc import MrcVolume
from ..results.latents import LatentTable
from ..results.run import RunFolder
from ..volumes.prolate.voxels import voxels_of
from .image_pass import image_pass
from .prolate_course import Fitted, expanded
from .prolate_setting import ProlateSetting

_WARMUP = 0.25  # of the sweeps, at least: left out


def draw_molecules(setting: ProlateSetting, folder: RunFolder, fitted: Fitted) -> dict[str, Any]:
    """Sweeps of blocked Gibbs sampling from the fit. Leaves every draw of all coefficients and of
    every image's latent under `draws/`, taken up sweep by sweep, and maps of the pointwise standard
    deviation of each term, on the voxels that latents are from. Returns what the summary says."""
    table = _table(setting, folder)
    sweep = HyperMoleculeSweep(setting.update, setting.nodes, jnp.asarray(fitted.variance))
    for number in range(_done(table), setting.config.draws):
        kept = table.read("coefficients")
        before = fitted.coefficients if number == 0 else np.array(kept[number - 1])
        _one_sweep(setting, sweep, jnp.asarray(before), (table, number))
    return _told(setting, folder, np.asarray(table.read("coefficients")))


def _table(setting: ProlateSetting, folder: RunFolder) -> LatentTable:
    table, config = LatentTable(folder.folder("draws")), setting.config
    count = len(setting.data.particles)
    shapes = {"coefficients": (setting.basis.size, setting.functions.count)}
    shapes |= {"conformation": (count, setting.functions.latent_size), "finished": ()}
    if jax.process_index() == 0:
        for name, shape in shapes.items():
            table.create(name, (config.draws, *shape))
    return table


def _done(table: LatentTable) -> int:
    """Sweeps that are whole."""
    return int(np.sum(np.asarray(table.read("finished")) == 1))


def _one_sweep(setting: ProlateSetting, sweep: HyperMoleculeSweep, coefficients, place) -> None:
    """From coefficients to the next draw of all; its row is marked finished last."""
    table, number = place
    grid, loader = setting.latent_grid, setting.loader(setting.box)
    model = Model(expanded(setting.update, coefficients), setting.noise, setting.prior, AsGiven())
    start, move = jax.random.split(jax.random.fold_in(jax.random.key(setting.config.seed), number))
    state = _begun(sweep, start)
    count = len(setting.data.particles)
    drawn = np.zeros((count, setting.functions.latent_size), np.float32)
    plan, name = setting.plan(np.arange(count), loader), f"draw {number + 1}/{setting.config.draws}"
    for batch in image_pass(loader, plan, name):
        state, latents = _stepped(sweep, state, (model, batch, grid, move))
        index, found, weight = to_host((batch.index, latents.conformation, batch.weight))
        drawn[index[weight > 0]] = found[weight > 0]
    row = np.array([number])
    found = np.asarray(_ended(sweep, state))
    if jax.process_index() == 0:
        table.write("coefficients", row, found[None])
        table.write("conformation", row, drawn[None])
        table.write("finished", row, np.ones(1))


@eqx.filter_jit
def _begun(sweep, key):
    return sweep.begin(key)


@eqx.filter_jit
def _stepped(sweep, state, others):
    model, batch, grid, key = others
    return sweep.step(model, state, batch, grid, key)


@eqx.filter_jit
def _ended(sweep, state):
    return sweep.end(state)


def _told(
    setting: ProlateSetting, folder: RunFolder, draws: Float[np.ndarray, "s k p"]
) -> dict[str, Any]:
    """Maps of standard deviations, and how well the powers of terms have mixed."""
    kept = draws[int(np.ceil(_WARMUP * len(draws))) :]
    maps = eqx.filter_jit(lambda a: voxels_of(setting.basis, a, setting.latent_grid))
    _, spread = mean_and_deviation(maps_of(maps, jnp.asarray(kept)))
    spacing = float(setting.latent_grid.pixel_size)
    if jax.process_index() == 0:
        for number, voxels in enumerate(np.asarray(spread, np.float32)):
            name = "mean" if number == 0 else f"term_{number:02d}"
            sides = (spacing, spacing, spacing)
            folder.write_volume(f"{name}_deviation", MrcVolume(voxels, sides))
    power = np.sum(kept.astype(np.float64) ** 2, axis=1)[None]
    judged = r_hat(power), bulk_size(power)
    return {
        "draws": len(draws),
        "draws_kept": len(kept),
        "r_hat_of_power": judged[0].tolist(),
        "bulk_of_power": judged[1].tolist(),
    }
