"""The nodes of a path, as conformations of one volume."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.fourier_resample import resample_box
from ..imaging.grid import FourierGrid
from ..particles.mrc import cubic_voxel_size, read_volume
from ..results.run import RunFolder
from ..structures.atoms import Atoms
from ..structures.beads import Beads, beads
from ..structures.envelope import fitted_envelope, map_sums
from ..structures.frames import read_models
from ..volumes.band_limited import band_limited_density
from ..volumes.base import AbstractVolume
from ..volumes.classes import ClassVolumes
from ..volumes.gaussians import Gaussians
from .analyse_run import MODELS
from .free_energy import FreeEnergyConfig

LOG = logging.getLogger("cryojax_het")
_ENSEMBLE = 30  # conformations that stand for all there are


@final
@dataclass(frozen=True, kw_only=True)
class NodePath:
    """`latent` `[m + e, d]` of `volume`: M nodes, and E conformations that stand for what is not on
    the path.

    - `names` of the nodes; `position` of each along the path, and what that is, for axes.
    """

    volume: AbstractVolume
    latent: Float[np.ndarray, "k d"]
    names: Sequence[str]
    position: Float[np.ndarray, " m"]
    axis: str

    @property
    def nodes(self) -> int:
        """How many."""
        return len(self.names)


def path_of(config: FreeEnergyConfig, run: RunFolder, grid: FourierGrid) -> NodePath:
    """The path that the settings ask for.

    Raises `ValueError` where nodes do not fit the run, `FileNotFoundError` for missing files.
    """
    if config.maps or config.structures:
        return _of_maps(config, run, grid)
    return _in_latents(config, run)


def _in_latents(config: FreeEnergyConfig, run: RunFolder) -> NodePath:
    if "conformation" not in run.latents().names():
        raise FileNotFoundError(
            f"{run.path} has no latents/conformation.npy: give the path by `--maps` or "
            "`--structures`."
        )
    kind = run.config().get("volume", "none")
    if kind not in MODELS:
        raise ValueError(
            f"{run.path}: a model of the kind {kind!r} has no path along its latent; known: "
            f"{', '.join(MODELS)}. Give the path by `--maps`."
        )
    model = MODELS[kind](run)
    held = np.array(run.latents().read("conformation"), np.float64)
    latent, position, axis = _nodes(config, held)
    if latent.shape[1] != model.latent_size:
        raise ValueError(
            f"{config.latents} has latents of {latent.shape[1]} numbers, the model {run.path} of "
            f"{model.latent_size}."
        )
    beyond = {
        "none": np.zeros((0, model.latent_size)),
        "consensus": np.zeros((1, model.latent_size)),
        "ensemble": np.random.default_rng(config.seed).permutation(held)[:_ENSEMBLE],
    }[config.off_path]
    return NodePath(
        volume=model.volume(_mask(run, model.mean.data.shape)),
        latent=np.concatenate([latent, beyond]),
        names=[f"node_{number:02d}" for number in range(len(latent))],
        position=position,
        axis=axis,
    )


def _nodes(config: FreeEnergyConfig, held: Float[np.ndarray, "n d"]):
    """Latents, places along the path, and what the places are."""
    if config.latents is not None:
        if not config.latents.is_file():
            raise FileNotFoundError(
                f"{config.latents} does not exist: give latents by a .npy file."
            )
        points = np.asarray(np.load(config.latents, allow_pickle=False), np.float64)
        if points.ndim != 2 or len(points) < 2 or not np.isfinite(points).all():
            raise ValueError(
                f"{config.latents} must hold two or more latents [nodes, numbers], all finite. Got "
                f"{points.shape}."
            )
        return points, _lengths(points), "distance along the path"
    if config.images:
        points = _evenly(held[_rows(config.images, len(held))], config.nodes)
        return points, _lengths(points), "distance along the path"
    number = config.coordinate or 1
    if not 1 <= number <= held.shape[1]:
        raise ValueError(
            f"`--coordinate` is from 1 to the {held.shape[1]} of the run. Got {number}."
        )
    low, high = np.percentile(held[:, number - 1], config.percentiles)
    points = np.tile(held.mean(axis=0), (config.nodes, 1))
    points[:, number - 1] = np.linspace(low, high, config.nodes)
    return points, points[:, number - 1], f"z{number}"


def _rows(text: str, count: int) -> list[int]:
    try:
        rows = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"`--images` must be rows from 0, as in 3,17. Got {text!r}.") from None
    if len(rows) < 2 or not all(0 <= row < count for row in rows):
        raise ValueError(f"`--images` takes two rows or more from 0 to {count - 1}. Got {text!r}.")
    return rows


def _lengths(points: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _evenly(corners: Float[np.ndarray, "v d"], count: int) -> Float[np.ndarray, "m d"]:
    """Straight from corner to corner, nodes at equal distances along."""
    along = _lengths(corners)
    if not along[-1] > 0:
        raise ValueError("`--images` name images of one and the same latent: no path.")
    places = np.linspace(0, along[-1], count)
    return np.stack([np.interp(places, along, column) for column in corners.T], axis=1)


def _of_maps(config: FreeEnergyConfig, run: RunFolder, grid: FourierGrid) -> NodePath:
    if config.off_path == "ensemble":
        raise ValueError(
            "`--off-path ensemble` draws from the latents that a path is in; beside maps and "
            "structures use `--off-path consensus`."
        )
    mean = run.volume("mean")
    size, voxel = len(mean.data), cubic_voxel_size(mean, run.path / "volumes" / "mean.mrc")
    make = _maps_of_files if config.maps else _maps_of_structures
    names, maps = make(config, np.asarray(mean.data, np.float64), voxel)
    if len(maps) < 2:
        raise ValueError(f"A path has two nodes or more. Got {len(maps)}: {', '.join(names)}.")
    kept = maps * _mask(run, mean.data.shape)
    extra = [] if config.off_path == "none" else [np.asarray(mean.data, np.float64)]
    every = np.stack([*kept, *extra]).astype(np.float32)
    if abs(size * voxel - float(grid.length)) > 1e-3 * float(grid.length):
        raise ValueError(
            f"The maps of {run.path} are {size * voxel:g} Å wide, its images "
            f"{float(grid.length):g} Å."
        )
    return NodePath(
        volume=ClassVolumes(jnp.asarray(every), voxel),
        latent=np.eye(len(every)),
        names=names,
        position=np.arange(len(maps), dtype=np.float64),
        axis="node",
    )


def _maps_of_files(config: FreeEnergyConfig, mean: np.ndarray, voxel: float):
    """Of the run's box, times one number that brings their average nearest to the mean."""
    paths = list(config.maps)
    if len(paths) == 1 and paths[0].is_dir():
        paths = sorted(paths[0].glob("*.mrc"))
    if not paths:
        raise FileNotFoundError(f"{config.maps[0]} holds no .mrc files.")
    maps = []
    for path in paths:
        found = read_volume(path)
        width = len(found.data) * cubic_voxel_size(found, path)
        if abs(width / (len(mean) * voxel) - 1) > 1e-3:
            raise ValueError(
                f"{path} is {width:g} Å wide, the run's map {len(mean) * voxel:g} Å: give maps of "
                "the run's box."
            )
        maps.append(resample_box(np.asarray(found.data, np.float64), len(mean)))
    every = np.stack(maps)
    average = every.mean(axis=0)
    scale = float(np.vdot(average, mean) / np.vdot(average, average))
    if not scale > 0:
        raise ValueError(
            "The maps do not correlate with the run's mean map: are they in its frame, bright on "
            "dark?"
        )
    LOG.info("%d maps, times %.4g as the run's mean map wants them.", len(every), scale)
    return [path.stem for path in paths], scale * every


def _maps_of_structures(config: FreeEnergyConfig, mean: np.ndarray, voxel: float):
    """Each as Gaussians, one to an atom; all as strong and as blurred as the mean map wants their
    average."""
    named = _structures(config.structures)
    models = [_atoms_as_beads(atoms) for _, atoms in named]
    average = Beads(
        np.concatenate([m.positions for m in models]),
        np.concatenate([m.weights for m in models]) / len(models),
        np.concatenate([m.widths for m in models]),
    )
    weight = np.ones(len(mean) // 2)
    weight[0] = 0  # the grey level is no part of a molecule
    found = fitted_envelope(map_sums(mean, voxel, average, weight), 0.0625)
    LOG.info("%d structures, blurred by %.2f Å².", len(models), found.variance)
    grid = FourierGrid(len(mean), voxel)
    maps = []
    for model in models:
        gaussians = Gaussians(
            positions=jnp.asarray(model.positions),
            amplitudes=jnp.asarray(found.scale * model.weights),
            widths=jnp.full(len(model.weights), np.sqrt(found.variance)),
        )
        maps.append(band_limited_density(gaussians, grid))
    return [name for name, _ in named], np.stack(maps)


def _structures(paths: Sequence[Path]) -> list[tuple[str, Atoms]]:
    found = []
    for path in paths:
        frames = read_models(path)
        many = len(frames.positions) > 1
        for number, positions in enumerate(frames.positions):
            name = f"{path.stem}_{number + 1:03d}" if many else path.stem
            found.append((name, frames.atoms.at(positions)))
    return found


def _atoms_as_beads(atoms: Atoms) -> Beads:
    heavy = atoms.take((atoms.atomic_numbers != 1) & (atoms.occupancies > 0))
    return beads(heavy, np.arange(len(heavy)))


def _mask(run: RunFolder, shape: tuple[int, ...]) -> np.ndarray:
    mask = run.mask()
    return np.ones(shape, np.float32) if mask is None else mask
