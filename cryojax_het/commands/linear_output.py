"""The last pass of a fit of principal volumes: every image's latents, and maps at the full box."""

import logging
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.fourier_resample import resample_box
from ..inference.devices import to_host
from ..inference.linear_statistics import linear_statistics
from ..inference.model import Model
from ..inference.posterior import LinearGaussian
from ..inference.posteriors.band_limited import without_shells
from ..inference.posteriors.linear_gaussian import of_statistics
from ..inference.requirements import gaussian_noise, linear_volume, local_prior
from ..results.run import RunFolder
from ..volumes.linear import FourierLinear
from .consensus_output import latent_tables, write_data, write_map
from .image_pass import image_pass
from .linear_fit import Fitted, linear_volume_of
from .linear_setting import LinearSetting

LOG = logging.getLogger("cryojax_het")


def write_outputs(setting: LinearSetting, folder: RunFolder, fitted: Fitted) -> dict[str, Any]:
    """Latents of every image and the mean and components of the full box; returns the summary.

    Components of the full box come from one more M-step: latents are told by the frequencies of
    their own box, and then stand for all.
    """
    volumes, log_likelihood = _last_pass(setting, folder, fitted)
    if jax.process_index() == 0:
        write_map(setting, folder, "mean", volumes[0])
        for number, component in enumerate(volumes[1:], start=1):
            write_map(setting, folder, f"component_{number:02d}", component)
        write_data(setting, folder)
    variance = np.sum(volumes[1:].reshape(len(volumes) - 1, -1) ** 2, axis=1)
    return {
        "images": len(setting.data.particles),
        "box": setting.data.size,
        "latent_box": setting.latent_box,
        "pixel_size": float(setting.grid(setting.data.size).pixel_size),
        "components": len(volumes) - 1,
        "variance_over_power_of_mean": (variance / np.sum(volumes[0] ** 2)).tolist(),
        "held_out": fitted.held_out,
        "log_likelihood": log_likelihood,
        "resolution": setting.consensus.folder.record()["summary"]["resolution"],
    }


def _last_pass(setting: LinearSetting, folder: RunFolder, fitted: Fitted):
    """Latents go to the run folder as they come; the volumes of the full box."""
    size, count = setting.data.size, len(fitted.volumes) - 1
    update, grid, loader = setting.update(size, count), setting.grid(size), setting.loader(size)
    volume = linear_volume_of(setting, fitted)
    posterior = setting.posterior(setting.latent_box)
    model = Model(volume.prepare(grid), setting.noise, setting.prior, posterior)
    state = update.under(jnp.asarray(_full_power(setting, fitted)))
    table = latent_tables(setting, folder, count)
    plan = setting.plan(np.arange(len(setting.data.particles)), loader)
    total = 0.0
    for batch in image_pass(loader, plan, "latents, full box"):
        state, belief = _step(update, (model, batch, grid), state)
        flat = _flat_gain(model, batch, grid, (setting.latent_box, setting.first_shell))
        rows = to_host((belief, flat, batch.index, batch.weight))
        total += float(np.sum(rows[0].log_likelihood * rows[3]))
        if jax.process_index() == 0:
            _write_rows(table, rows)
    start = np.stack([resample_box(v, size) for v in fitted.volumes]) * setting.mask(size)
    volumes = _solved(update, jnp.asarray(start, jnp.float32), state)
    return np.asarray(volumes), total / len(setting.data.particles)


@eqx.filter_jit
def _step(update, others, state):
    model, batch, grid = others
    _, state, posterior, _ = update.step(model, state, batch, grid, jax.random.key(0))
    return state, posterior


@eqx.filter_jit
def _flat_gain(model: Model, batch, grid, band: tuple[int, int]) -> Float[jax.Array, " b"]:
    """The gain in log-likelihood of the mean alone, its contrast integrated over."""
    box, first = band
    images = jax.vmap(lambda image: grid.crop_transform(image, box))(batch.images)
    small = eqx.tree_at(lambda b: b.images, batch, images)
    prepared = linear_volume(model.volume, "write_outputs").prepare(grid)
    assert isinstance(prepared, FourierLinear)
    noise = without_shells(gaussian_noise(model.noise, "write_outputs"), first, grid)
    found = linear_statistics(prepared.leading(0), noise, small, grid.crop(box))
    prior = local_prior(model.prior, "write_outputs")
    contrast = (prior.contrast_mean, prior.contrast_width)
    return of_statistics(found, contrast, batch.latents).log_likelihood


@eqx.filter_jit
def _solved(update, start, state):
    """The volumes of the full box in the gauge that the latents were written in."""
    total = jax.tree.map(lambda x: x.sum(axis=0), state.equations)
    equations = eqx.tree_at(lambda e: e.spacing, total, update.spacing)
    return equations.solve(state.power, start, update.mask).voxels


def _full_power(setting: LinearSetting, fitted: Fitted) -> Float[np.ndarray, "q s"]:
    """Priors in all shells of the full box."""
    known = fitted.volumes.shape[-1] // 2
    if known >= setting.data.size // 2:
        return fitted.power
    return setting.power_beyond(fitted.power, known)


def _write_rows(table, rows) -> None:
    belief, flat, index, weight = rows
    assert isinstance(belief, LinearGaussian)
    real = weight > 0
    latents = belief.latents
    found = {"conformation": latents.conformation, "conformation_covariance": belief.covariance}
    found |= {"rotation": latents.rotation, "shift": latents.shift, "contrast": latents.contrast}
    found |= {"log_likelihood": belief.log_likelihood, "log_likelihood_mean": flat}
    for name, values in found.items():
        table.write(name, index[real], values[real])
