"""The last pass of a trained mixture: every image's latent, the model itself, and maps."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..inference.devices import to_host
from ..inference.model import Model
from ..inference.requirements import gaussian_noise, local_prior
from ..inference.training.objective import gain
from ..particles.loader import split_rows
from ..results.conformation_paths import write_conformations
from ..results.mixture_store import StoredMixture
from ..results.run import RunFolder
from .consensus_output import latent_tables, write_data, write_map
from .image_pass import image_pass
from .trained_setting import TrainedSetting
from .trained_stages import displaced


def write_outputs(setting: TrainedSetting, folder: RunFolder, model: Model) -> dict[str, Any]:
    """Latents of all images, the model, the consensus; returns the summary."""
    gain = _last_pass(setting, folder, model)
    if jax.process_index() == 0:
        write_map(setting, folder, "mean", setting.consensus.mean)
        write_data(setting, folder)
    latents = np.asarray(folder.latents().read("conformation"))
    trajectories = []
    if jax.process_index() == 0:
        trajectories = _write_model(setting, folder, model, latents)
    return {
        "images": len(setting.data.particles),
        "box": setting.data.size,
        "latent_box": setting.box,
        "pixel_size": float(setting.grid(setting.data.size).pixel_size),
        "latent": setting.config.latent,
        "variance_of_latents": latents.var(axis=0).tolist(),
        "log_likelihood": gain,
        "resolution": setting.consensus.folder.record()["summary"]["resolution"],
        "trajectories": trajectories,
        **setting.reference.about,
    }


def _last_pass(setting: TrainedSetting, folder: RunFolder, model: Model) -> float:
    """Latents go to the run folder as they come; the mean gain over no particle."""
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    count = len(setting.data.particles)
    table = latent_tables(folder, count, setting.config.latent)
    plan = split_rows(np.arange(count), loader.batch_size)
    total = 0.0
    for batch in image_pass(loader, plan, "latents"):
        rows = to_host((_read(model, batch, grid), batch.index, batch.weight))
        found, index, weight = rows
        total += float(found["log_likelihood"] @ weight)
        if jax.process_index() == 0:
            for name, values in found.items():
                table.write(name, index[weight > 0], values[weight > 0])
    return total / count


@eqx.filter_jit
def _read(model: Model, batch, grid):
    """What is believed of each image, and what it gains at the mean, and at rest."""
    noise = gaussian_noise(model.noise, "write_outputs")
    prior = local_prior(model.prior, "write_outputs")
    belief = model.posterior.infer(jax.random.key(0), model.volume, noise, prior, batch, grid)
    volume: Any = model.volume.prepare(grid)
    rest: Any = volume.reference

    over = lambda volume: jax.vmap(lambda *seen: gain(volume, (noise, prior), seen, grid))(
        batch.images, belief.latents, batch.optics
    )
    return {
        "conformation": belief.latents.conformation,
        "conformation_covariance": belief.covariance,
        "rotation": belief.latents.rotation,
        "shift": belief.latents.shift,
        "contrast": belief.latents.contrast,
        "log_likelihood": over(volume),
        "log_likelihood_mean": over(rest),
    }


def _write_model(setting: TrainedSetting, folder: RunFolder, model: Model, latents) -> list[str]:
    """The mixture, components of the latents, and trajectories; the names of these."""
    before, volume = setting.reference, displaced(model)
    moved = np.asarray(volume.reference.positions - before.mixture.positions, np.float64)
    atoms = before.atoms.at(before.atoms.positions + moved[before.follows])
    stored = StoredMixture(volume=volume, atoms=atoms, follows=before.follows)
    return write_conformations(folder, stored, latents)
