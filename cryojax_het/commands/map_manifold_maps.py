"""The maps that a manifold is made of: read from a folder, or made of a run's resampled images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Float32

from ..analysis.fourier_resample import on_grid, resample_box
from ..analysis.mask import automatic_mask
from ..analysis.resampled_clusters import ResampledClusters, resampled_clusters
from ..particles.mrc import cubic_voxel_size, read_volume
from ..results.run import RunFolder
from .map_manifold import MapManifoldConfig
from .volume_run import FittedRun, fitted_run

_NO_STATES = ("mean", "mask", "half1", "half2", "consensus")  # names of maps that are none


@final
@dataclass(frozen=True, kw_only=True)
class Origin:
    """What resampled maps were made of: clusters of the images of a run. `full`: the maps at the
    run's own box; `latents`: the mean of each one's images."""

    run: FittedRun
    clusters: ResampledClusters
    full: Float32[np.ndarray, "m b b b"]
    latents: Float[np.ndarray, "m d"]


@final
@dataclass(frozen=True, kw_only=True)
class ManifoldMaps:
    """M maps on one grid, `pixel_size` Å, and their names.

    - `mask`: where they are compared. `latents`: of each map, where they were beside them.
    - `origin`: of resampled maps.
    """

    maps: Float32[np.ndarray, "m n n n"]
    names: Sequence[str]
    pixel_size: float
    mask: Float[np.ndarray, "n n n"]
    latents: Float[np.ndarray, "m d"] | None = None
    origin: Origin | None = None


def output_of(config: MapManifoldConfig) -> Path:
    """Where results go. `ValueError` where nothing tells."""
    if config.output is not None:
        return config.output
    if not _is_run(config.maps):
        raise ValueError(f"{config.maps} is no run folder: say where results go by `-o`.")
    return config.maps / "analysis" / "manifolds" / config.by


def read_maps(config: MapManifoldConfig) -> ManifoldMaps:
    """As the settings ask for. Raises `FileNotFoundError` where there are no maps, `ValueError`
    where they are of several boxes, or the mask is of another."""
    if config.by == "alphacryo4d" and _is_run(config.maps):
        return _resampled(config)
    folder = _folder(config.maps)
    paths = sorted(
        path
        for path in (*folder.glob("*.mrc"), *folder.glob("*.map"))
        if path.stem not in _NO_STATES and not path.stem.startswith("component_")
    )
    if len(paths) < 3:
        raise FileNotFoundError(
            f"{folder} holds {len(paths)} maps (.mrc, .map): a manifold needs three or more."
        )
    maps, voxel = _of_one_box(paths)
    return _on_grid(config, maps, voxel, [path.stem for path in paths], latents=_latents(folder))


def _is_run(path: Path) -> bool:
    return (path / "run.json").is_file()


def _folder(path: Path) -> Path:
    """Where the maps of different states are."""
    if not _is_run(path):
        return path
    if any((path / "volumes").glob("class_*.mrc")):
        return path / "volumes"
    if (path / "analysis" / "clusters").is_dir():
        return path / "analysis" / "clusters"
    raise FileNotFoundError(
        f"{path} has no maps of several states yet: run `cryojax-het analyse {path}` first, or "
        "give a folder of maps."
    )


def _of_one_box(paths: Sequence[Path]):
    first = read_volume(paths[0])
    maps = [first.data]
    for path in paths[1:]:
        one = read_volume(path)
        if one.data.shape != first.data.shape:
            raise ValueError(
                f"{path} has {one.data.shape} voxels, {paths[0]} {first.data.shape}: maps of a "
                "manifold share one box."
            )
        maps.append(one.data)
    return np.stack(maps).astype(np.float32), cubic_voxel_size(first, paths[0])


def _latents(folder: Path):
    path = folder / "latents.npy"
    found = np.load(path) if path.is_file() else None
    return found if found is None or found.ndim == 2 else found[:, None]


def _on_grid(config, maps, voxel: float, names, run_mask=None, **others) -> ManifoldMaps:
    old = maps.shape[1]
    size = min(config.size // 2 * 2, old)
    pixel_size = voxel * old / size
    small = np.stack([resample_box(one, size) for one in maps]) if size < old else maps
    if others.get("latents") is not None and len(others["latents"]) != len(maps):
        others["latents"] = None
    mask = _mask(config, small, pixel_size, run_mask)
    return ManifoldMaps(maps=small, names=names, pixel_size=pixel_size, mask=mask, **others)


def _mask(config, maps, pixel_size: float, run_mask) -> Float[np.ndarray, "n n n"]:
    size = maps.shape[1]
    if config.mask is not None:
        given = on_grid(read_volume(config.mask), size, pixel_size, config.mask)
        return np.clip(given, 0, 1)
    if _is_run(config.maps) and run_mask is None:
        run_mask = RunFolder(config.maps).mask()
    if run_mask is not None:
        return np.clip(resample_box(run_mask, size) if len(run_mask) != size else run_mask, 0, 1)
    return automatic_mask(maps.mean(axis=0), pixel_size)


def _resampled(config: MapManifoldConfig) -> ManifoldMaps:
    from ..inference.devices import keep_compilations
    from .resampled_maps import resampled_maps

    run = fitted_run(config.maps, config.particles, config.batch)
    clusters = resampled_clusters(run.cloud.mean, config.folds, config.clusters, config.seed)
    keep_compilations()
    made = resampled_maps(run, clusters)
    names = [f"map_{number:03d}" for number in range(len(made.maps))]
    rows = [np.flatnonzero((clusters.member == m).any(axis=0)) for m in range(len(names))]
    latents = np.stack([run.cloud.mean[row].mean(axis=0) for row in rows])
    origin = Origin(run=run, clusters=clusters, full=made.maps, latents=latents)
    others = {"latents": latents, "origin": origin}
    return _on_grid(config, made.maps, made.voxel_size[0], names, made.mask, **others)
