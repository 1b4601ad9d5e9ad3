"""The last pass of a trained mixture: every image's latent, the model itself, and maps."""

import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ..imaging.image import render
from ..imaging.marginal import log_marginal_contrast
from ..inference.devices import to_host
from ..inference.model import Model
from ..inference.requirements import gaussian_noise, local_prior
from ..particles.loader import split_rows
from ..particles.mrc import MrcVolume
from ..results.conformation_paths import (
    latent_components,
    write_components,
    write_trajectories,
)
from ..results.mixture_store import StoredMixture, save_mixture
from ..results.run import RunFolder
from .trained_setting import TrainedSetting
from .trained_stages import displaced


def write_outputs(setting: TrainedSetting, folder: RunFolder, model: Model) -> dict[str, Any]:
    """Latents of all images, the model, the consensus; returns the summary."""
    gain = _last_pass(setting, folder, model)
    if jax.process_index() == 0:
        _write_maps(setting, folder)
        analysis = folder.folder("analysis")
        np.save(analysis / "noise.npy", np.asarray(setting.noise.power))
        np.save(analysis / "half.npy", setting.data.particles.half)
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
    table = _tables(folder, count, setting.config.latent)
    plan = split_rows(np.arange(count), loader.batch_size)
    hidden, total = jax.process_index() != 0, 0.0
    with tqdm(total=count, desc="latents", unit=" images", disable=hidden, file=sys.stderr) as bar:
        for part, batch in zip(plan, loader.batches(plan), strict=True):
            rows = to_host((_read(model, batch, grid), batch.index, batch.weight))
            found, index, weight = rows
            total += float(found["log_likelihood"] @ weight)
            if not hidden:
                for name, values in found.items():
                    table.write(name, index[weight > 0], values[weight > 0])
            bar.update(len(part))
    return total / count


@eqx.filter_jit
def _read(model: Model, batch, grid):
    """What is believed of each image, and what it gains at the mean, and at rest."""
    noise = gaussian_noise(model.noise, "write_outputs")
    prior = local_prior(model.prior, "write_outputs")
    belief = model.posterior.infer(jax.random.key(0), model.volume, noise, prior, batch, grid)
    volume: Any = model.volume.prepare(grid)
    rest: Any = volume.reference

    def gain(volume, image, latents, optics):
        own = noise.of_group(optics.group)
        unit = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones_like(latents.contrast))
        contrast = (prior.contrast_mean, prior.contrast_width)
        mean = render(volume, unit, optics, grid)
        nothing = own.log_prob(image, jnp.zeros_like(image), grid)
        return log_marginal_contrast(own, image, mean, contrast, grid) - nothing

    over = lambda volume: jax.vmap(lambda *one: gain(volume, *one))(
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


def _tables(folder: RunFolder, images: int, latent: int):
    table = folder.latents()
    shapes = {"conformation": (latent,), "conformation_covariance": (latent, latent)}
    shapes |= {"rotation": (3, 3), "shift": (2,), "contrast": ()}
    shapes |= {"log_likelihood": (), "log_likelihood_mean": ()}
    if jax.process_index() == 0:
        for name, shape in shapes.items():
            table.create(name, (images, *shape))
    return table


def _write_model(setting: TrainedSetting, folder: RunFolder, model: Model, latents) -> list[str]:
    """The mixture, components of the latents, and trajectories; the names of these."""
    before, volume = setting.reference, displaced(model)
    moved = np.asarray(volume.reference.positions - before.mixture.positions, np.float64)
    atoms = before.atoms.at(before.atoms.positions + moved[before.follows])
    stored = StoredMixture(volume=volume, atoms=atoms, follows=before.follows)
    save_mixture(folder, stored)
    components = latent_components(latents)
    write_components(folder, components)
    return write_trajectories(folder, stored, components)


def _write_maps(setting: TrainedSetting, folder: RunFolder) -> None:
    spacing = float(setting.grid(setting.data.size).pixel_size)
    as_map = lambda data: MrcVolume(np.asarray(data, np.float32), (spacing, spacing, spacing))
    folder.write_volume("mean", as_map(setting.consensus.mean))
    folder.write_volume("mask", as_map(setting.mask(setting.data.size)))
    for name in ("half1", "half2"):
        folder.write_volume(name, setting.consensus.folder.volume(name))
