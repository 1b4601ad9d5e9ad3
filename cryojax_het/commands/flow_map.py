"""Maps of all images through a field that is known: what each image's latent says it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.fsc import masked_fsc
from ..inference.deformed_reconstruction import (
    DeformedReconstruction,
    reconstruct_deformed,
    start,
)
from ..inference.devices import own_part, place_batch, to_host
from ..inference.half_maps import plan_batches
from ..inference.model import Model
from ..inference.requirements import gaussian_noise, local_prior
from ..inference.updates.deformed_map import DeformedMap
from ..particles.loader import HostLatents, Loader, Placement, split_rows
from ..volumes.flow import AbstractFlow, principal_modes
from ..volumes.normal_modes import NormalModes
from ..volumes.voxel_cloud import voxels_within
from .image_pass import image_pass
from .image_preparation import pose_latents, prepared_pixels

if TYPE_CHECKING:
    from .flow_setting import FlowSetting

_RATIO = 0.1  # noise over signal, the prior of half-maps; theirs gives the map's
_BATCH = 96
_CLOSE = 0.02  # voxels: how closely displacements are followed


@final
@dataclass(frozen=True)
class SolvedMaps:
    """`whole`, filtered, and both half-maps, of the reference conformation; `passes` over the
    images that they took."""

    whole: Float[np.ndarray, "n n n"]
    halves: tuple[Float[np.ndarray, "n n n"], Float[np.ndarray, "n n n"]]
    passes: int


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
    """By conjugate gradients on the normal equations, at `box` voxels, within the window."""
    window, single = setting.window(box), lambda values: jnp.asarray(values, jnp.float32)
    flat, positions = voxels_within(window, setting.spacing(box))
    model = DeformedMap(
        jnp.asarray(flat), single(positions), single(setting.spacing(box)), modes, box
    )
    ratio = jnp.full(box // 2 + 1, _RATIO, jnp.float32)
    how = DeformedReconstruction(model, setting.noise, setting.grid(box), ratio, setting.mesh)
    loader = _loader(setting, amplitudes.astype(np.float32), box)
    plan = plan_batches(setting.data.particles.half, loader.batch_size)
    course, passes = start(how), 0
    compare = lambda first, second: masked_fsc(first, second, window).corrected
    for _ in reconstruct_deformed(how, loader, plan, course, compare):
        passes += course.batch == len(plan)
    first, second = course.half_maps()
    return SolvedMaps(np.asarray(course.whole.x), (first, second), passes)


def _loader(setting: "FlowSetting", latents: Float[np.ndarray, "n d"], box: int) -> Loader:
    devices = setting.mesh.size
    batch = -(-(setting.config.batch or _BATCH) // devices) * devices
    at = pose_latents(setting.data)
    held = HostLatents(latents, at.rotation, at.shift, at.contrast)
    pixels = prepared_pixels(setting.config, setting.data, box)
    return Loader(
        setting.data.source, held, pixels, batch, Placement(place_batch(setting.mesh), own_part)
    )
