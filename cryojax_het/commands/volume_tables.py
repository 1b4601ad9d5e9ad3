"""One pass over the images of a run: the normal equations of groups of similar latents."""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int

from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.group_tables import GroupTables, gather
from ..inference.regression.kernel_regression import consensus_signal
from ..inference.regression.partition import group_count, half_groups
from ..inference.updates.normal_equations import NormalEquations
from ..particles.loader import HostLatents, Loader, Placement
from ..volumes.kernel import quadratic
from .image_preparation import prepared_pixels
from .reconstruct_data import Data, load_data
from .volume_run import FittedRun

_BATCH = 16  # images laid down at a time: groups are small


@final
@dataclass(frozen=True)
class Gathered:
    """The tables, group of each image and half-set of each group, and what all maps share."""

    tables: GroupTables
    groups: Int[np.ndarray, " i"]
    half: Int[np.ndarray, " g"]
    mask: Float32[np.ndarray, "n n n"]
    signal: Float[np.ndarray, " s"]


def gathered(run: FittedRun) -> Gathered:
    """Reads every image once. Raises what `load_data` raises, and `ValueError` where the particle
    file is not that of the run."""
    half, noise, mask = run.half(), run.noise(), run.mask()
    data = load_data(run.settings)
    check_images(run, data, noise, mask)
    grid = FourierGrid(data.stored, data.pixel_size).crop(data.size)
    groups, of_group = half_groups(run.cloud.whitened(), half, _count(run, data))
    batch = min(_BATCH, max(1, int(np.bincount(groups[groups >= 0]).max())))
    loader = run_loader(run, data, batch)
    how = ColouredNoise(_real(noise)), grid, quadratic()
    tables = gather(loader.batches, groups, len(of_group), batch, how, "images near each latent")
    signal = consensus_signal(tables, of_group, mask)
    return Gathered(tables, groups, of_group, mask, signal)


def _count(run: FittedRun, data: Data) -> int:
    empty = lambda: NormalEquations.zeros(data.size, _real(data.pixel_size), quadratic())
    cells = np.prod(jax.eval_shape(empty).table.shape, dtype=np.float64)
    return group_count(len(run.cloud), 4 * float(cells))


def run_loader(run: FittedRun, data: Data, batch: int) -> Loader:
    """The images of a run with the poses and contrasts that it found."""
    table = run.folder.latents()
    named = [np.array(table.read(name)) for name in ("rotation", "shift", "contrast")]
    latents = HostLatents(np.zeros((len(run.cloud), 0), np.float32), *named)
    place = Placement(lambda tree: jax.tree.map(_as_device, tree))
    pixels = prepared_pixels(run.settings, data, data.size)
    return Loader(data.source, latents, pixels, batch, place)


def check_images(run: FittedRun, data: Data, noise: np.ndarray, mask: np.ndarray) -> None:
    """`ValueError` where the particle file is not that of the run."""
    images, path = len(data.particles), run.settings.particles
    if images != len(run.cloud):
        raise ValueError(
            f"{path} has {images} images, the run {run.folder.path} {len(run.cloud)} latents: give "
            "the particle file of the run by `--particle-file`."
        )
    if len(noise) <= data.particles.group.max() or mask.shape != (data.size,) * 3:
        raise ValueError(
            f"{path} does not fit the run {run.folder.path}: noise of {len(noise)} optics groups "
            f"and a mask of {mask.shape}, for {int(data.particles.group.max()) + 1} groups and a "
            f"box of {data.size}."
        )


def _real(values):
    return jnp.asarray(values, jnp.result_type(float))


def _as_device(values):
    kind = jnp.result_type(float) if np.issubdtype(values.dtype, np.floating) else None
    return jnp.asarray(values, kind)
