"""What a fit of normal modes leaves: population, latents, model, maps, trajectories."""

import logging
from typing import Any

import numpy as np

from ..inference.population import Population, Reweighted, chosen_population, reweighted
from ..results.conformation_paths import write_conformations
from ..results.disk import write_arrays
from ..results.mixture_store import StoredMixture
from ..results.run import RunFolder
from .consensus_output import write_data, write_map
from .modes_round import beliefs_of, told_rows
from .modes_setting import ModesSetting
from .modes_state import State, volume_of

LOG = logging.getLogger("cryojax_het")


def write_outputs(setting: ModesSetting, folder: RunFolder, state: State) -> dict[str, Any]:
    """Latents are amplitudes over the widths of the prior, under the population of all images; the
    model has the same units. Returns the summary."""
    count = len(setting.data.particles)
    unit = state.softest * setting.shape
    prior = np.diag(unit**2)
    told = told_rows(folder.latents(), np.arange(count))
    beliefs = beliefs_of(setting, folder, state, told)
    population, held_out = chosen_population(
        beliefs, prior, setting.config.components, setting.config.seed
    )
    found = reweighted(beliefs, population)
    _write_population(folder, population, unit)
    latents = _write_latents(setting, folder, told, found, unit)
    reference = setting.reference
    stored = StoredMixture(
        volume=volume_of(setting, state, unit), atoms=reference.atoms, follows=reference.follows
    )
    trajectories = write_conformations(folder, stored, latents)
    write_map(setting, folder, "mean", setting.consensus.mean)
    write_data(setting, folder)
    basis = setting.basis
    return {
        "images": count,
        "box": setting.data.size,
        "latent_box": setting.box,
        "pixel_size": float(setting.grid(setting.data.size).pixel_size),
        "modes": setting.config.modes,
        "widths": unit.tolist(),
        "stiffness": basis.eigenvalues.tolist(),
        "collectivity": basis.collectivity.tolist(),
        "dangling_modes": basis.dropped,
        "cutoff": basis.cutoff,
        "population": population.share.tolist(),
        "held_out": held_out,
        "log_likelihood": float(found.log_likelihood.mean()),
        "several_hypotheses": float(np.mean(found.weight.max(axis=1) < 0.9)),
        "trajectories": trajectories,
        "resolution": setting.consensus.folder.record()["summary"]["resolution"],
        **reference.about,
    }


def _write_population(folder: RunFolder, population: Population, unit) -> None:
    """In the units of the latents."""
    place = folder.folder("analysis")
    scaled = {
        "share": population.share,
        "mean": population.mean / unit,
        "covariance": population.covariance / np.outer(unit, unit),
        "unit": unit,
    }
    write_arrays(place / "population.npz", scaled)


def _write_latents(setting: ModesSetting, folder: RunFolder, told, found: Reweighted, unit):
    """Moments under the population, of the images `told`, which are returned; pose and contrast of
    the hypothesis that it makes the most probable. Of an image that was left out, what is known
    without it."""
    table, best, poses = folder.latents(), np.argmax(found.weight, axis=1), setting.images.latents
    arrays = {
        "conformation": found.mean / unit,
        "conformation_covariance": found.covariance / np.outer(unit, unit),
        "log_likelihood": found.log_likelihood,
        "hypothesis_weight": found.weight,
    }
    for name in ("rotation", "shift", "contrast"):
        arrays[name] = np.asarray(table.read(f"hypothesis_{name}"))[told, best]
    unseen = {"conformation_covariance": np.eye(len(unit)), "rotation": poses.rotation}
    unseen |= {"shift": poses.shift, "contrast": poses.contrast}
    for name, array in arrays.items():
        shape = (len(poses.contrast), *array.shape[1:])
        table.create(name, shape, unseen.get(name, 0.0))
        table.write(name, told, array.astype(np.float32))
    return arrays["conformation"]
