"""What an analysis leaves under `RUN/analysis`.

```
summary.json              counts, clusters, ends of the path
component_01/ ...         map_000.mrc, ... along each component of which images tell, by its number
                          in the latents, and latents.npy
path/                     the same along the density, and images.npy: the images it visits
energy_path/              the same along the least free energy between two wells, where there are
energy_path.csv           two: free energy along that, with bands
clusters/                 map_000.mrc at each centre's nearest image; labels.npy, nearest.npy
side_by_side/             there by the model and by kernel regression   on request: see
local_resolution/         there of the half-maps of the regression      `analyse_*.py` of that name
subsets/                  kept.star, junk.star, cluster_00.star, ... (or .cs)
landscape_01.csv ...      density and free energy along each component; landscape.npz of two
image_scores.csv          one row per image
embeddings/               pca.npy, ... [n, 2], NaN for images not kept
*.png                     figures
```
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float, Int

from ..analysis.chance import some_rows
from ..analysis.deconvolution import Deconvolution
from ..analysis.density import (
    Density,
    LatentPosteriors,
    histogram_density,
    kernel_density,
    latent_grid,
)
from ..analysis.energy_path import EnergyPath
from ..analysis.latent_clusters import Clusters
from ..analysis.latent_paths import DensityGeodesic, GeodesicPath, component_path
from ..analysis.map_series import MapsAt, write_series
from ..results.disk import explained, write_text
from .analyse import AnalyseConfig
from .analyse_centre_writer import Centres
from .analyse_centres import write_centres
from .analyse_clusterings import CLUSTERINGS
from .analyse_embeddings import planes_of, write_embeddings
from .analyse_energy_path import (
    clear_energy_path,
    path_between_wells,
    told_of,
    write_energy_path,
)
from .analyse_makers import MapMakers
from .analyse_run import Analysed
from .analyse_scores import Scored
from .analyse_tables import write_columns
from .subsets import write_subsets

LOG = logging.getLogger("cryojax_het")
_LINE_NODES, _PLANE_NODES = 80, 24
_TOLD = 0.05  # nats an image: a coordinate of less is the prior's, and there is nothing along it
_LINE_IMAGES, _PLANE_IMAGES = 5000, 3000  # that a density is told from, at most


@final
@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Densities over some coordinates: of the molecules, and of the point estimates beside it by
    counting and by kernels."""

    axes: tuple[int, ...]
    molecules: Density
    counted: Density
    smoothed: Density


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """All that is computed of the latents of kept images, rows those of the particle file.

    `label`: cluster of every image, -1 for those not kept or of none; `kept`: of every image.
    """

    clusters: Clusters
    label: Int[np.ndarray, " n"]
    kept: Bool[np.ndarray, " n"]
    path: GeodesicPath
    lines: list[Landscape]
    plane: Landscape | None
    between_wells: EnergyPath | None
    planes: dict[str, Float[np.ndarray, "n 2"]]


def write_analysis(
    analysed: Analysed, config: AnalyseConfig, makers: MapMakers, scored: Scored
) -> dict[str, Any]:
    """Compute on the kept images, write all, return the summary."""
    found = _find(analysed, config, scored)
    folder = analysed.run.folder("analysis")
    with explained(folder):
        _write_maps(folder, analysed, config, makers.series, found)
        write_centres(folder, analysed, config, makers, _centres(analysed, found))
        _write_tables(folder, analysed, scored, found)
        _write_subsets(folder, analysed, scored, found)
        write_embeddings(folder / "embeddings", found.planes)
        _draw(folder, analysed, config, scored, found)
        summary = _summary(analysed, config, scored, found)
        write_text(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def _find(analysed: Analysed, config: AnalyseConfig, scored: Scored) -> Found:
    kept = np.flatnonzero(scored.kept)
    posteriors = analysed.posteriors.take(kept)
    inside = CLUSTERINGS[config.clustering](config).clusters(posteriors)
    label = np.full(len(scored.kept), -1, np.int64)
    label[kept] = inside.label
    clusters = Clusters(label=inside.label, centre=inside.centre, nearest=kept[inside.nearest])
    ends = config.path or (int(clusters.nearest[0]), int(clusters.nearest[-1]))
    told = posteriors.told(_TOLD)[: config.components].tolist()
    lines = [_landscape(posteriors, (number,), config) for number in told]
    plane = _landscape(posteriors, tuple(told[:2]), config) if len(told) > 1 else None
    return Found(
        clusters=clusters,
        label=label,
        kept=scored.kept,
        path=_path(analysed, config, scored, ends),
        lines=lines,
        plane=plane,
        between_wells=None if plane is None else path_between_wells(plane.molecules),
        planes=planes_of(config.embeddings, analysed.posteriors, scored.kept, config.seed),
    )


def _path(analysed, config, scored, ends: tuple[int, int]) -> GeodesicPath:
    # The ends may have been asked for, junk or not.
    asked = [end for end in ends if 0 <= end < len(scored.kept)]
    rows = np.union1d(np.flatnonzero(scored.kept), np.asarray(asked, np.int64))
    if len(asked) < 2:
        raise ValueError(f"`--path` takes two rows from 0 to {len(scored.kept) - 1}. Got {ends}.")
    first, last = np.searchsorted(rows, ends)
    geodesic = DensityGeodesic(seed=config.seed)
    found = geodesic.between(analysed.posteriors.take(rows), int(first), int(last), config.maps)
    return GeodesicPath(images=rows[found.images], latent=found.latent)


def _landscape(posteriors: LatentPosteriors, axes: tuple[int, ...], config) -> Landscape:
    line = len(axes) == 1
    limit, nodes = (_LINE_IMAGES, _LINE_NODES) if line else (_PLANE_IMAGES, _PLANE_NODES)
    some = posteriors.take(some_rows(len(posteriors), limit, config.seed)).along(axes)
    grid = latent_grid(some, nodes)
    # Steps in two dimensions take ten times as long.
    how = Deconvolution(resamples=config.resamples, folds=2, steps=60, seed=config.seed)
    if line:
        how = Deconvolution(resamples=config.resamples, seed=config.seed)
    return Landscape(
        axes=axes,
        molecules=how.density(some, grid),
        counted=histogram_density(some.mean, grid),
        smoothed=kernel_density(some.mean, grid),
    )


def _write_maps(folder: Path, analysed: Analysed, config, maps: MapsAt, found: Found) -> None:
    mean, voxel = analysed.posteriors.mean, analysed.voxel
    for line in found.lines:
        (number,) = line.axes
        points = component_path(mean[found.kept], number, config.maps)
        write_series(folder / f"component_{number + 1:02d}", points, maps, voxel)
    write_series(folder / "path", found.path.latent, maps, voxel)
    np.save(folder / "path" / "images.npy", found.path.images)
    clear_energy_path(folder)
    if found.plane is not None and found.between_wells is not None:
        axes, kept = found.plane.axes, analysed.posteriors.take(np.flatnonzero(found.kept))
        makers = maps, config.maps, voxel
        write_energy_path(folder, found.between_wells, (axes[0], axes[1]), kept, makers)
    write_series(folder / "clusters", mean[found.clusters.nearest], maps, voxel)
    np.save(folder / "clusters" / "labels.npy", found.label)
    np.save(folder / "clusters" / "nearest.npy", found.clusters.nearest)
    np.save(folder / "clusters" / "centres.npy", found.clusters.centre)


def _centres(analysed: Analysed, found: Found) -> Centres:
    nearest = found.clusters.nearest
    latent = analysed.posteriors.mean[nearest]
    return Centres(latent=latent, row=nearest, size=found.clusters.sizes())


def _write_tables(folder: Path, analysed: Analysed, scored: Scored, found: Found) -> None:
    for line in found.lines:
        _write_line(folder / f"landscape_{line.axes[0] + 1:02d}.csv", line)
    if found.plane is not None:
        grid, densities = found.plane.molecules.grid, asdict(found.plane)
        values = {n: densities[n]["value"] for n in ("molecules", "counted", "smoothed")}
        nodes = {f"z_{k + 1}": x for k, x in zip(found.plane.axes, grid.axes, strict=True)}
        np.savez(folder / "landscape.npz", **nodes, **values)
    if scored.scores is None:
        return
    columns = {"row": np.arange(len(scored.kept)), "flagged": ~scored.kept, "cluster": found.label}
    columns |= scored.scores.columns()
    if analysed.gain is not None:
        columns["log_likelihood_gain"] = analysed.gain
    write_columns(folder / "image_scores.csv", columns)


def _write_line(path: Path, line: Landscape) -> None:
    density = line.molecules
    columns = {"z": density.grid.axes[0], "density": density.value}
    columns |= {"free_energy": density.free_energy()}
    if density.low is not None and density.high is not None:
        low, high = density.band()
        columns |= {"density_low": density.low, "density_high": density.high}
        columns |= {"free_energy_low": low, "free_energy_high": high}
    columns |= {"counted": line.counted.value, "smoothed": line.smoothed.value}
    write_columns(path, columns)


def _write_subsets(folder: Path, analysed: Analysed, scored: Scored, found: Found) -> None:
    rows = {f"cluster_{n:02d}": np.flatnonzero(found.label == n) for n in range(_count(found))}
    if scored.scores is not None:
        rows |= {"kept": np.flatnonzero(scored.kept), "junk": np.flatnonzero(~scored.kept)}
    write_subsets(folder / "subsets", analysed.images.particles, rows, "cluster_*")


def _count(found: Found) -> int:
    return len(found.clusters.centre)


def _draw(folder: Path, analysed: Analysed, config, scored: Scored, found: Found) -> None:
    from .analyse_figures import draw_analysis

    try:
        draw_analysis(folder, analysed, config, scored, found)
    except ImportError as error:  # the numbers are there; pictures are an extra
        LOG.warning("%s", error)


def _summary(analysed: Analysed, config, scored: Scored, found: Found) -> dict[str, Any]:
    return {
        "images": len(scored.kept),
        "flagged": None if scored.scores is None else int((~scored.kept).sum()),
        "threshold": config.threshold,
        "components": analysed.posteriors.mean.shape[1],
        "divergence_from_prior": analysed.posteriors.divergence().tolist(),
        "components_analysed": [line.axes[0] + 1 for line in found.lines],
        "variance_over_power_of_mean": analysed.maps.eigenvalues().tolist(),
        "maps_by": config.by,
        "cluster_sizes": found.clusters.sizes().tolist(),
        "cluster_nearest_images": found.clusters.nearest.tolist(),
        "path_images": found.path.images.tolist(),
        "between_wells": told_of(found.between_wells),
    }
