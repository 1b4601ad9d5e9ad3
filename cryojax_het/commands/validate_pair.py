"""The part of `cryojax-het validate` that holds two runs on the same images against each other."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.chance import Score
from ..analysis.fsc import resolution
from ..analysis.image_comparison import compare_images, compare_labels, latent_scores
from ..analysis.image_count import count_images
from ..analysis.label_scores import latent_of
from ..analysis.map_comparison import common_mask, compare_maps, on_common_grid
from ..analysis.map_sets import MapSet
from ..analysis.outputs import Outputs, open_outputs
from ..analysis.regions import find_regions
from ..particles.open import open_particles
from ..report.score_figures import comparison_figures
from ..report.score_report import ScoreReport
from ..simulate.truth import GroundTruth
from .validate import ValidateConfig

Pair = tuple[Outputs, Outputs]


def pair_report(config: ValidateConfig, other: Path, truth: GroundTruth | None) -> ScoreReport:
    """Agreement of the maps, latents and labels that both runs have.

    The grid and the mask (the moving region) are those of the truth where there is one; otherwise
    the coarser grid of the two, and an automatic mask of the mean of all maps. Raises `ValueError`
    where the runs have nothing in common, or are not of the same images.
    """
    count = _image_count(config, other, truth)
    pair = (open_outputs(config.run, count, config.maps), open_outputs(other, count))
    parts = [_of_maps(pair, count, config, truth), _of_images(pair, config)]
    if not any(part.scores for part in parts):
        raise ValueError(
            f"{config.run} and {other} have nothing to compare: both must have maps, or latents, "
            "or labels."
        )
    tables = [part.scores.get("agreement", {}) for part in parts]
    whole = parts[0].with_part(parts[1])
    return whole.with_part(ScoreReport({"agreement": tables[0] | tables[1]}))


def _image_count(config: ValidateConfig, other: Path, truth: GroundTruth | None) -> int:
    if truth is not None:
        return len(truth.images)
    if config.particles is not None:
        return len(open_particles(config.particles, config.read))
    for path in (config.run, other):
        count = count_images(path)
        if count is not None:
            return count
    raise ValueError(
        f"Neither {config.run} nor {other} has an array with one row per image: give the particle "
        "file by `--particles`."
    )


def _of_maps(
    pair: Pair, count: int, config: ValidateConfig, truth: GroundTruth | None
) -> ScoreReport:
    if pair[0].maps_folder is None or pair[1].maps_folder is None:
        return ScoreReport({})
    maps = _map_sets(pair, count, truth)
    length = maps[0].size * maps[0].pixel_size
    if truth is None:
        mask = common_mask(*maps, config.seed)
    else:
        density = map(truth.map, range(len(truth.states)))
        regions = find_regions(density, truth.states.population, truth.pixel_size)
        mask = regions.molecule if regions.moving is None else regions.moving
    found = compare_maps(*maps, mask, config.images, config.seed)
    about = {
        "images": len(found.rows),
        "size": maps[0].size,
        "pixel_size": maps[0].pixel_size,
        "resolution": resolution(np.median(found.curves["same image"], axis=0), 0.5, length),
        "areas": found.areas,
        "areas of deviations": found.deviations,
    }
    names = (pair[0].path.name, pair[1].path.name)
    return ScoreReport(
        {"agreement": _table(found.scores()), "agreement_of_maps": about},
        comparison_figures(found, length, names),
    )


def _map_sets(pair: Pair, count: int, truth: GroundTruth | None) -> tuple[MapSet, MapSet]:
    # A grid is asked for before one is known; maps are not read until they are on the common one.
    size, pixel_size = (2, 1.0) if truth is None else (truth.size, truth.pixel_size)
    first, second = (outputs.maps(count, size, pixel_size) for outputs in pair)
    assert first is not None
    assert second is not None
    return on_common_grid(first, second) if truth is None else (first, second)


def _of_images(pair: Pair, config: ValidateConfig) -> ScoreReport:
    first, second = latent_of(pair[0]), latent_of(pair[1])
    scores: dict[str, Score] = {}
    about: dict[str, Any] = {}
    if first is not None and second is not None:
        found = compare_images(first, second, config.latent_images, config.seed)
        scores |= latent_scores(found)
        about["canonical_correlations"] = found.canonical
    labels = pair[0].labels, pair[1].labels
    if labels[0] is not None and labels[1] is not None:
        scores |= compare_labels(labels[0], labels[1])
    return ScoreReport({"agreement": _table(scores)} | about if scores else {})


def _table(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Value, chance, and the share of the way from chance to 1."""
    return {name: asdict(score) | {"share": score.share()} for name, score in scores.items()}
