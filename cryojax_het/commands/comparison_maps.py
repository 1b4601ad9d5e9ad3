"""The maps that several runs give to the same images, held against each other."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from ..analysis.chance import some_rows
from ..analysis.fourier_resample import on_grid
from ..analysis.latent_clusters import find_clusters
from ..analysis.map_agreement import deviations, fsc_areas, paired_agreement
from ..analysis.mask import automatic_mask
from ..particles.mrc import MrcVolume
from .compared_run import ComparedRun

LOG = logging.getLogger("cryojax_het")
_IMAGES = 12


@final
@dataclass(frozen=True, kw_only=True)
class ComparedMaps:
    """`maps[r][i]`: the map that run `r` (a place in the list compared) gives to image `rows[i]`,
    on the grid of the first run that has maps; contrast and offset as the first run has them."""

    rows: Int[np.ndarray, " i"]
    maps: dict[int, Float[np.ndarray, "i n n n"]]
    voxel: float


def maps_of_images(runs: Sequence[ComparedRun]) -> ComparedMaps | None:
    """The maps of a dozen images that lie apart in the first run's latent; None where fewer than
    two runs have maps."""
    with_maps = [k for k, run in enumerate(runs) if run.maps is not None]
    rows = _rows(runs)
    if len(with_maps) < 2 or len(rows) < 2:
        return None
    found: dict[int, np.ndarray] = {}
    size, voxel = 0, 0.0
    for k in with_maps:
        maker, spacing = runs[k].maps, runs[k].voxel
        assert maker is not None
        data = [np.asarray(volume, np.float32) for volume in maker(rows)]
        if not found:
            size, voxel = len(data[0]), spacing
        try:
            data = [
                on_grid(MrcVolume(d, (spacing, spacing, spacing)), size, voxel, Path(runs[k].name))
                for d in data
            ]
        except ValueError as error:
            LOG.warning("Maps of %s are left out: %s", runs[k].name, error)
            continue
        stack = np.stack(data)
        found[k] = stack if not found else _scaled(stack, found[with_maps[0]])
    return ComparedMaps(rows=rows, maps=found, voxel=voxel) if len(found) > 1 else None


def _rows(runs: Sequence[ComparedRun]) -> Int[np.ndarray, " i"]:
    latents = [run.latent for run in runs if run.latent is not None]
    if not latents:
        return np.zeros(0, np.int64)
    there = np.all([np.isfinite(latent).all(axis=1) for latent in latents], axis=0)
    rows = np.flatnonzero(there)
    rows = rows[some_rows(len(rows), 20000, 0)]
    if len(rows) < 3:
        return np.zeros(0, np.int64)
    return np.unique(rows[find_clusters(latents[0][rows], min(_IMAGES, len(rows) // 3)).nearest])


def _scaled(maps, like):
    """Least squares of one factor and one offset for all maps of a run."""
    x, y = maps - maps.mean(), like - like.mean()
    factor = float(np.sum(x * y, dtype=np.float64) / np.sum(x * x, dtype=np.float64))
    return (x * factor + like.mean()).astype(np.float32)


def map_parts(runs: Sequence[ComparedRun], compared: ComparedMaps | None) -> dict[str, Any]:
    """Matrices of map agreement and their table, as a page shows them."""
    if compared is None:
        return {"charts": [], "tables": []}
    mean = next(iter(compared.maps.values())).mean(axis=0)
    mask = automatic_mask(mean, compared.voxel).astype(np.float32)
    last = len(mask) // 2 - 1
    whole, change = (np.full((len(runs),) * 2, np.nan) for _ in range(2))
    rows = []
    weight = np.full(len(compared.rows), 1 / len(compared.rows))
    places = list(compared.maps)
    for i, one in enumerate(places):
        for other in places[:i]:
            first, second = compared.maps[other], compared.maps[one]
            score = paired_agreement(fsc_areas(first, second, mask, last))
            whole[one, other] = whole[other, one] = score.value
            first, second = deviations(first, weight), deviations(second, weight)
            moved = paired_agreement(fsc_areas(first, second, mask, last))
            change[one, other] = change[other, one] = moved.value
            name = f"{runs[other].name}, {runs[one].name}"
            rows.append([name, score.value, score.chance, moved.value, moved.chance])
    names = [run.name for run in runs]
    look = {"rows": names, "columns": names, "range": [0, 1], "label": "area under the FSC"}
    charts = [
        {"title": "What maps change by, image by image", "values": change, **look},
        {"title": "Maps, image by image", "values": whole, **look},
    ]
    head = ["runs", "maps", "of other images", "deviations from the mean", "of other images"]
    note = (
        f"Area under the FSC of the maps that two runs give to the same {len(compared.rows)} "
        "images, under a mask; beside it that of maps of different images. Whole maps agree by "
        "their mean alone: their deviations from it tell whether the motion is the same."
    )
    return {
        "charts": charts,
        "tables": [{"title": "Maps", "note": note, "head": head, "rows": rows}],
    }
