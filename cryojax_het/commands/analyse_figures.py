"""The figures of an analysis, from what it computed and the series it wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..analysis.chance import some_rows
from ..analysis.map_series import read_series
from ..report.latent_plots import (
    plot_landscapes,
    plot_latent_planes,
    plot_outliers,
    plot_plane_landscape,
    plot_spectrum,
)
from ..report.series_plots import plot_series
from .analyse import AnalyseConfig
from .analyse_run import Analysed
from .analyse_scores import Scored

if TYPE_CHECKING:
    from .analyse_outputs import Found

_SHOWN = 20_000  # images drawn as dots, at most


def draw_analysis(
    folder: Path, analysed: Analysed, config: AnalyseConfig, scored: Scored, found: "Found"
) -> None:
    """All of them. `ImportError` where matplotlib is missing."""
    mean, pixel_size = analysed.posteriors.mean, analysed.voxel[0]
    plot_spectrum(folder / "spectrum.png", analysed.maps.eigenvalues(), _told(analysed))
    rows = np.flatnonzero(scored.kept)
    rows = rows[some_rows(len(rows), _SHOWN, config.seed)]
    told = [line.axes[0] for line in found.lines]
    centres, route = mean[found.clusters.nearest][:, told], found.path.latent[:, told]
    shown = mean[rows][:, told], found.label[rows], centres, route
    plot_latent_planes(folder / "latents.png", *shown, [f"z{number + 1}" for number in told])
    lines = [(f"z{line.axes[0] + 1}", line.molecules, line.counted) for line in found.lines]
    plot_landscapes(folder / "landscape.png", lines)
    if found.plane is not None:
        shown = found.plane.molecules, found.plane.smoothed
        route, names = found.path.latent[:, found.plane.axes], [f"z{k + 1}" for k in told[:2]]
        plot_plane_landscape(folder / "landscape_plane.png", *shown, route, names)
    if scored.scores is not None:
        some = some_rows(len(mean), _SHOWN, config.seed)
        plot_outliers(folder / "outliers.png", scored.scores, ~scored.kept, some, config.threshold)
    names = [f"component_{number + 1:02d}" for number in told]
    for name in (*names, "path", "clusters"):
        plot_series(folder / f"{name}.png", list(read_series(folder / name)), pixel_size, name)


def _told(analysed: Analysed):
    """The share of each coordinate's variance that images tell: `1 - mean C_kk`."""
    return 1 - np.einsum("nkk->k", analysed.posteriors.covariance) / len(analysed.posteriors)
