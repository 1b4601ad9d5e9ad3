"""The path of least free energy between the wells of a run's landscape."""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.density import Density, LatentPosteriors
from ..analysis.energy_path import (
    EnergyPath,
    SingleWell,
    StringMethod,
    with_other_coordinates,
)
from ..analysis.map_series import MapsAt, write_series
from .analyse_tables import write_columns

LOG = logging.getLogger("cryojax_het")


def path_between_wells(density: Density) -> EnergyPath | None:
    """By the string method, from the deepest well of two coordinates to the next deepest; None
    where there is but one."""
    try:
        return StringMethod().between_wells(density)
    except SingleWell:
        LOG.info("The landscape has a single well: there is no path between wells.")
        return None


def clear_energy_path(folder: Path) -> None:
    """What an earlier analysis left goes."""
    shutil.rmtree(folder / "energy_path", ignore_errors=True)
    (folder / "energy_path.csv").unlink(missing_ok=True)


def write_energy_path(
    folder: Path,
    found: EnergyPath,
    axes: tuple[int, int],
    posteriors: LatentPosteriors,
    maps: tuple[MapsAt, int, tuple[float, float, float]],
) -> None:
    """`energy_path/` with maps along it and `energy_path.csv`.

    - `axes`: the landscape's coordinates; `maps`: their maker, number and voxel.
    """
    maker, count, voxel = maps
    points = found.profile.points
    some = np.linspace(0, len(points) - 1, count).round().astype(int)
    latents = with_other_coordinates(points[some], axes, posteriors)
    write_series(folder / "energy_path", latents, maker, voxel)
    columns = {"along": found.along()}
    columns |= {f"z_{axis + 1}": column for axis, column in zip(axes, points.T, strict=True)}
    columns["free_energy"] = found.profile.energy
    if found.resampled:
        columns["free_energy_low"], columns["free_energy_high"] = found.band()
    write_columns(folder / "energy_path.csv", columns)


def told_of(found: EnergyPath | None) -> dict[str, Any] | None:
    """Barrier and difference of the wells, k_B T, with bands of resamples where there are some."""
    if found is None:
        return None
    told: dict[str, Any] = {
        "barrier": found.profile.barrier,
        "difference": found.profile.difference,
    }
    if found.resampled:
        bands = {"barrier_band": found.barrier_band(), "difference_band": found.difference_band()}
        told |= bands
    return told
