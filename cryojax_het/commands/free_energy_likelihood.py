"""The likelihood of every image at every node, kept on disk row by row as it is found."""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..imaging.grid import FourierGrid
from ..inference.devices import (
    data_mesh,
    keep_compilations,
    own_part,
    place_batch,
    use_cpu_devices,
)
from ..inference.free_energy.contrast import AbstractContrast, KnownContrast, NormalContrast
from ..inference.free_energy.path_likelihood import PathLikelihood
from ..inference.free_energy.poses import AbstractPoses, ImageModel, KnownPose, PoseGrid
from ..particles.loader import HostLatents, Loader, Placement, split_rows
from ..results.config import default_table
from ..results.run import RunFolder, RunRecord, open_run
from .free_energy import FreeEnergyConfig
from .free_energy_nodes import NodePath, path_of
from .image_preparation import particle_radius, prepared_pixels
from .image_settings import ImageSettings
from .reconstruct_data import Data, load_data
from .reconstruct_method import affordable_devices, choose_method
from .run_images import noise_of_run, settings_of_run

LOG = logging.getLogger("cryojax_het")
_NAME = "path_log_likelihood"


@final
@dataclass(frozen=True, kw_only=True)
class PathSource:
    """A finished run, its images, and a path of conformations."""

    run: RunFolder
    settings: ImageSettings
    data: Data
    path: NodePath


def opened(config: FreeEnergyConfig) -> PathSource:
    """Open all that the settings name. Raises `FileNotFoundError` and `ValueError`."""
    run = RunFolder(config.run)
    run.check_finished()
    settings = settings_of_run(run, config.particle_file, config.batch, config.data_dir)
    data = load_data(settings)
    keep_compilations()
    affordable = affordable_devices(choose_method("diagonal", data.size), data.size)
    use_cpu_devices(config.devices or affordable)
    images = len(run.latents().read("rotation"))
    if len(data.particles) != images:
        raise ValueError(
            f"{settings.particles} has {len(data.particles)} images, the run {run.path} {images} "
            "poses: give the particle file of the run by `--particle-file`."
        )
    path = path_of(config, run, FourierGrid(data.stored, data.pixel_size).crop(data.size))
    return PathSource(run=run, settings=settings, data=data, path=path)


def likelihoods(
    config: FreeEnergyConfig, source: PathSource, command: Sequence[str]
) -> tuple[RunFolder, Float[np.ndarray, "n k"]]:
    """The output folder, and `ℓ` of every image at the nodes and beyond; rows that are there
    already are not computed again. Raises `FileExistsError` where the folder holds another path.
    """
    table = config.of_likelihood()
    inputs = [*source.settings.inputs(), source.run.path / "run.json", *_files(config)]
    devices = [str(d) for d in jax.devices()]
    record = RunRecord(command=list(command), seed=config.seed, devices=devices, inputs=inputs)
    folder = open_run(config.output, table, record, default_table(config))
    held, count = folder.latents(), len(source.data.particles)
    held.create(_NAME, (count, len(source.path.latent)))
    missing = np.flatnonzero(~np.isfinite(held.read(_NAME)).all(axis=1))
    if len(missing):
        with folder.logging():
            _fill(config, source, folder, missing)
    return folder, np.array(held.read(_NAME), np.float32)


def _files(config: FreeEnergyConfig) -> list[Path]:
    given = (config.latents, *config.maps, *config.structures)
    return [path for path in given if path is not None]


def _fill(config, source: PathSource, folder: RunFolder, rows) -> None:
    from tqdm import tqdm

    mesh, data = data_mesh(), source.data
    pixels = prepared_pixels(source.settings, data, data.size)
    batch = data.batch_size(source.settings.batch, mesh.size)
    placement = Placement(place_batch(mesh), own_part)
    loader = Loader(data.source, _latents(source.run), pixels, batch, placement)
    path = _path_likelihood(config, source, pixels)
    bar = tqdm(total=len(data.particles), initial=len(data.particles) - len(rows), file=sys.stderr)
    bar.set_description("likelihoods")
    bar.unit = " images"
    with bar:
        for index, found in path.each(loader, split_rows(rows, batch)):
            folder.latents().write(_NAME, index, found)
            bar.update(len(index))


def _path_likelihood(config: FreeEnergyConfig, source: PathSource, pixels) -> PathLikelihood:
    data = source.data
    grid = FourierGrid(data.stored, data.pixel_size).crop(data.size)
    model = ImageModel(
        volume=source.path.volume,
        noise=noise_of_run(source.run, source.settings, data, pixels),
        contrast=_contrast(config),
        grid=grid,
    )
    radius = particle_radius(source.settings, data) * data.pixel_size
    poses = _poses(config, float(grid.pixel_size), radius)
    if isinstance(poses, PoseGrid):
        LOG.info(
            "Each image is compared under %d rotations and %d shifts.",
            len(poses.turns),
            len(poses.offsets) ** 2,
        )
    return PathLikelihood(model, jnp.asarray(source.path.latent, jnp.float32), poses)


def _poses(config: FreeEnergyConfig, pixel_size: float, radius: float) -> AbstractPoses:
    if config.rotation_error == config.shift_error == 0:
        return KnownPose()
    step = config.rotation_step
    return PoseGrid.normal(
        np.deg2rad(config.rotation_error),
        pixel_size / radius if step is None else float(np.deg2rad(step)),
        config.shift_error,
        config.shift_step or pixel_size / 2,
    )


def _contrast(config: FreeEnergyConfig) -> AbstractContrast:
    if config.contrast_width == 0:
        return KnownContrast()
    return NormalContrast(1.0, config.contrast_width)


def _latents(run: RunFolder) -> HostLatents:
    """Poses and contrasts of the run; no conformation."""
    table = run.latents()
    read = lambda name: np.array(table.read(name), np.float32)
    plain = HostLatents.of_poses(read("rotation"), read("shift"))
    if "contrast" not in table.names():
        return plain
    return HostLatents(plain.conformation, plain.rotation, plain.shift, read("contrast"))
