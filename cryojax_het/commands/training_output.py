"""The last pass of a trained fit: every image's latent, the model itself, and maps."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from ..inference.devices import to_host
from ..inference.model import Model
from ..inference.requirements import gaussian_noise, local_prior
from ..inference.training.objective import gain
from ..particles.loader import split_rows
from ..results.run import RunFolder
from .consensus_output import latent_tables, write_data, write_map
from .image_pass import image_pass
from .training_setting import TrainingSetting


def write_outputs(setting: TrainingSetting, folder: RunFolder, model: Model) -> dict[str, Any]:
    """Latents of all images, the model, the consensus; returns the summary."""
    found = _last_pass(setting, folder, model)
    own: dict[str, Any] = {}
    if jax.process_index() == 0:
        write_map(setting, folder, "mean", setting.consensus.mean)
        write_data(setting, folder)
        own = setting.write_model(folder, model)
    latents = np.asarray(folder.latents().read("conformation"))
    return {
        "images": len(setting.data.particles),
        "box": setting.data.size,
        "latent_box": setting.box,
        "pixel_size": float(setting.grid(setting.data.size).pixel_size),
        "latent": setting.config.latent,
        "variance_of_latents": latents.var(axis=0).tolist(),
        "log_likelihood": found,
        "resolution": setting.consensus.folder.record()["summary"]["resolution"],
        **own,
    }


def _last_pass(setting: TrainingSetting, folder: RunFolder, model: Model) -> float:
    """Latents go to the run folder as they come; the mean gain over no particle."""
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    count = len(setting.data.particles)
    table = latent_tables(setting, folder, setting.config.latent)
    plan = split_rows(np.arange(count), loader.batch_size)
    rest, total = setting.rest(model), 0.0
    for batch in image_pass(loader, plan, "latents"):
        rows = to_host((_read(model, rest, batch, grid), batch.index, batch.weight))
        found, index, weight = rows
        total += float(found["log_likelihood"] @ weight)
        if jax.process_index() == 0:
            for name, values in found.items():
                table.write(name, index[weight > 0], values[weight > 0])
    return total / count


@eqx.filter_jit
def _read(model: Model, rest: Any, batch, grid):
    """What is believed of each image, and what it gains at the mean, and at rest."""
    noise = gaussian_noise(model.noise, "write_outputs")
    prior = local_prior(model.prior, "write_outputs")
    belief = model.posterior.infer(jax.random.key(0), model.volume, noise, prior, batch, grid)

    def over(volume: Any):
        ready = volume.prepare(grid)
        one = lambda *seen: gain(ready, (noise, prior), seen, grid)
        return jax.vmap(one)(batch.images, belief.latents, batch.optics)

    return {
        "conformation": belief.latents.conformation,
        "conformation_covariance": belief.covariance,
        "rotation": belief.latents.rotation,
        "shift": belief.latents.shift,
        "contrast": belief.latents.contrast,
        "log_likelihood": over(model.volume),
        "log_likelihood_mean": over(rest),
    }
