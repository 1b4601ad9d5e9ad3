"""The fixed setting of a reconstruction, and its checkpoints: saved, found, taken up."""

import logging
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.devices import (
    shard_like,
    to_host,
)
from ..inference.half_maps import (
    HalfMaps,
)
from ..inference.model import Model
from ..inference.posteriors.as_given import AsGiven
from ..inference.posteriors.contrast import ContrastMean
from ..inference.posteriors.local_refinement import LocalRefinement
from ..inference.updates.least_squares import LeastSquares
from ..particles.loader import Loader
from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from ..volumes.voxels import Voxels
from .reconstruct import ReconstructConfig
from .reconstruct_data import Data

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True)
class Setting:
    """Everything fixed during a run."""

    config: ReconstructConfig
    data: Data
    grid: FourierGrid
    update: LeastSquares
    loader: Loader
    groups: int


def set_models(setting: Setting, maps: HalfMaps, halves, noise: ColouredNoise) -> None:
    """The models of a later pass: each half's own map, the noise, the posterior asked for."""
    config = setting.config
    posterior = AsGiven()
    if config.contrast:
        posterior = ContrastMean()
    if config.refine:
        posterior = LocalRefinement()
    for half, voxels in enumerate(halves):
        volume = Voxels(voxels=jnp.asarray(voxels), spacing=setting.grid.pixel_size)
        volume = volume.prepare(setting.grid)
        maps.models[half] = Model(volume, noise, maps.models[half].prior, posterior)


def save(folder: RunFolder, maps: HalfMaps, number: int, position: int, batches: int) -> None:
    """A checkpoint before batch `position`, of `batches`, in pass `number`."""
    tree = _checkpoint_tree(maps)  # every process takes part in the gathering
    if jax.process_index() == 0:
        note = {"pass": number, "batch": position}
        save_checkpoint(folder.checkpoints, number * batches + position, tree, note)


def _checkpoint_tree(maps: HalfMaps):
    return {
        "equations": to_host([state.equations for state in maps.states]),
        "power": maps.power,
        "images": maps.images,
        "noise": _power(maps.models[0]),
        "latents": vars(maps.latents),
        "volumes": [_voxels(model) for model in maps.models],
    }


def _power(model: Model):
    assert isinstance(model.noise, ColouredNoise)
    return np.asarray(model.noise.power)


def _voxels(model):
    volume = model.volume
    return np.asarray(volume.voxels if isinstance(volume, Voxels) else volume.source.voxels)


def resume(folder: RunFolder, maps: HalfMaps, setting: Setting) -> tuple[HalfMaps, int, int]:
    """`maps` as the latest checkpoint has them, the pass and the batch to go on with; `maps` as
    they are where there is none."""
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        return maps, 0, 0
    note = checkpoint_note(path)
    tree = load_checkpoint(path, _checkpoint_tree(maps))
    for name, array in tree["latents"].items():
        getattr(maps.latents, name)[:] = array
    maps.power[:], maps.images[:] = tree["power"], tree["images"]
    if note["pass"] > 0:
        noise = ColouredNoise(jnp.asarray(tree["noise"]))
        set_models(setting, maps, tree["volumes"], noise)
    for half, equations in enumerate(tree["equations"]):
        placed = shard_like(setting.update.mesh, equations)
        maps.states[half] = eqx.tree_at(lambda s: s.equations, maps.states[half], placed)
    LOG.info("Taken up at pass %d, batch %d.", note["pass"] + 1, note["batch"])
    return maps, note["pass"], note["batch"]
