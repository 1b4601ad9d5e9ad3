"""A run as a comparison takes it: name, latents, labels, and its maps at images."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Int

from ..analysis.label_scores import label_latent
from ..results.run import RunFolder
from ..simulate.truth import GroundTruth
from .fitted_maps import MODELS
from .report_run import main_map

# Rows of images in, their maps out, each [z, y, x].
MapsOf = Callable[[np.ndarray], list[np.ndarray]]


@final
@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """What a run says of N images; None where it does not.

    - `latent`: its latents; where it has none, corners of a simplex by its labels;
    - `covariance`: of their posteriors; `labels`: classes, or clusters of an analysis;
    - `maps`: the map of each of some images, and `voxel`, its sides in Å.
    """

    name: str
    latent: Float[np.ndarray, "n d"] | None
    covariance: Float[np.ndarray, "n d d"] | None
    labels: Int[np.ndarray, " n"] | None
    maps: MapsOf | None
    voxel: float


def compared_run(run: RunFolder, name: str) -> ComparedRun:
    """What `run` has."""
    table = run.latents()
    names = table.names()
    latent = covariance = None
    if "conformation" in names:
        latent = np.asarray(table.read("conformation"), np.float64)
    if "conformation_covariance" in names:
        covariance = np.asarray(table.read("conformation_covariance"), np.float64)
    labels = _labels(run, names)
    if latent is None and "labels" in names and labels is not None:
        latent = label_latent(labels)
    main = main_map(run)
    voxel = float(run.volume(main).voxel_size[0]) if main else 0.0
    maps = _maps(run, latent, labels, main)
    return ComparedRun(
        name=name, latent=latent, covariance=covariance, labels=labels, maps=maps, voxel=voxel
    )


def _labels(run: RunFolder, names: list[str]) -> Int[np.ndarray, " n"] | None:
    if "labels" in names:
        return np.asarray(run.latents().read("labels")).astype(np.int64)
    path = run.path / "analysis" / "clusters" / "labels.npy"
    return np.load(path).astype(np.int64) if path.is_file() else None


def _maps(run: RunFolder, latent, labels, main: str | None) -> MapsOf | None:
    kind = str(run.config().get("volume", ""))
    if main is None or not run.finished:
        return None
    if kind == "classes" and labels is not None:
        return lambda rows: [run.volume(f"class_{label:03d}").data for label in labels[rows]]
    if kind not in MODELS or latent is None:
        return lambda rows: [run.volume(main).data] * len(rows)
    fitted = MODELS[kind](run)
    return lambda rows: [np.asarray(data) for data in fitted(latent[rows])]


def true_run(truth: GroundTruth) -> ComparedRun:
    """The truth as one more run, without uncertainty."""
    state = truth.images.state
    embedding = truth.states.embedding()
    categorical = all(coordinate.categorical for coordinate in truth.states.coordinates)
    return ComparedRun(
        name="truth",
        latent=embedding[state].astype(np.float64) if embedding.shape[1] else None,
        covariance=None,
        labels=state.astype(np.int64) if categorical else None,
        maps=lambda rows: [truth.map(int(number)) for number in state[rows]],
        voxel=float(truth.pixel_size),
    )


def run_names(paths: list[Path]) -> list[str]:
    """The folders' names; numbered where two are the same."""
    names = [path.resolve().name for path in paths]
    same = [name for name in names if names.count(name) > 1]
    return [f"{k + 1}: {name}" if name in same else name for k, name in enumerate(names)]
