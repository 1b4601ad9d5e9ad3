"""Maps of all images through a field that is known: what each image's latent says it is."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inference.devices import to_host
from ..inference.model import Model
from ..inference.requirements import gaussian_noise, local_prior
from ..inference.updates.deformed_map import DeformedMap
from ..particles.loader import HostLatents, split_rows
from ..volumes.flow import AbstractFlow, principal_modes
from ..volumes.normal_modes import NormalModes
from ..volumes.voxel_cloud import voxels_within
from .deformed_maps import DeformedImages, SolvedMaps
from .image_pass import image_pass
from .image_preparation import pose_latents

if TYPE_CHECKING:
    from .flow_setting import FlowSetting

_CLOSE = 0.02  # voxels: how closely displacements are followed


def encoded_latents(setting: "FlowSetting", model: Model) -> Float[np.ndarray, "n d"]:
    """Means of the belief on each image."""
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    count = len(setting.data.particles)
    means = np.zeros((count, setting.config.latent), np.float32)
    for batch in image_pass(loader, split_rows(np.arange(count), loader.batch_size), "latents"):
        found, index, weight = to_host((_mean(model, batch, grid), batch.index, batch.weight))
        means[index[weight > 0]] = found[weight > 0]
    return means


@eqx.filter_jit
def _mean(model: Model, batch, grid):
    known = gaussian_noise(model.noise, "_mean"), local_prior(model.prior, "_mean")
    belief = model.posterior.infer(jax.random.key(0), model.volume, *known, batch, grid)
    return belief.latents.conformation


def through_flow(
    setting: "FlowSetting", flow: AbstractFlow, latents: Float[np.ndarray, "n d"], box: int
) -> SolvedMaps:
    """Each image through the field at its latent; the field is held as it is."""
    _, positions = voxels_within(setting.window(box), setting.spacing(box))
    close = _CLOSE * setting.spacing(box)
    return _solved(setting, *principal_modes(flow.at(positions), latents, close), box)


def at_rest(setting: "FlowSetting", box: int) -> SolvedMaps:
    """The rigid maps by the same way, to compare with."""
    flat, _ = voxels_within(setting.window(box), setting.spacing(box))
    still = NormalModes(jnp.zeros((1, len(flat), 3), jnp.float32))
    return _solved(setting, still, np.zeros((len(setting.data.particles), 1)), box)


def _solved(setting: "FlowSetting", modes: NormalModes, amplitudes, box: int) -> SolvedMaps:
    """At `box` voxels, within the window."""
    window, single = setting.window(box), lambda values: jnp.asarray(values, jnp.float32)
    flat, positions = voxels_within(window, setting.spacing(box))
    model = DeformedMap(
        jnp.asarray(flat), single(positions), single(setting.spacing(box)), modes, box
    )
    at = pose_latents(setting.data)
    held = HostLatents(amplitudes.astype(np.float32), at.rotation, at.shift, at.contrast)
    images = DeformedImages(setting.config, setting.data, held, box, setting.mesh)
    return images.solved(model, setting.noise, setting.data.particles.half, window)
