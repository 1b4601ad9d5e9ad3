"""The part of `cryojax-het validate` that holds a run against a known truth."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.label_scores import latent_of, score_labels
from ..analysis.map_sets import MapSet
from ..analysis.outputs import Outputs, open_outputs
from ..analysis.references import References, references_of
from ..analysis.validation import (
    relative_table,
    validate_calibration,
    validate_latents,
    validate_maps,
    validate_null,
)
from ..particles.open import open_particles
from ..particles.source import AbstractImageSource
from ..report.score_figures import latent_figures, map_figures
from ..report.score_report import ScoreReport
from ..simulate.truth import GroundTruth
from .select_rows import read_rows
from .validate import ValidateConfig

REFERENCES = "references.h5"

_logger = logging.getLogger("cryojax_het")


def truth_report(config: ValidateConfig, truth: GroundTruth) -> ScoreReport:
    """All scores of `config.run` that its outputs allow, and their figures.

    Inputs are opened and checked before anything is computed. Errors as `open_outputs`,
    `open_map_set`; `ValueError` where the particles are not those of the truth.
    """
    outputs = open_outputs(config.run, len(truth.images), config.maps)
    maps = outputs.maps(len(truth.images), truth.size, truth.pixel_size)
    if config.rows is not None:
        if maps is None:
            raise ValueError(
                f"`--rows` are of images whose maps are scored: {config.run} has none."
            )
        maps = maps.among(read_rows(config.rows))
    source = open_source(config, truth)
    references = references_of(
        source, truth, config.latent_images, config.seed, kept=kept_references(config, truth)
    )
    report = ScoreReport({"dataset": _dataset(truth), "ceiling": _ceiling(truth, references)})
    if maps is not None:
        report = report.with_part(_maps(maps, truth, references, config))
    report = report.with_part(_images(outputs, truth, source, references, config.seed))
    return report.with_part(_promises(outputs, maps, truth, references, config.seed))


def open_source(config: ValidateConfig, truth: GroundTruth) -> AbstractImageSource:
    """The images of the truth. Raises `ValueError` where they are not as many."""
    path = config.particles or truth.particles
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give the particle file by `--particles`.")
    source = open_particles(path, config.read)
    if len(source) != len(truth.images):
        raise ValueError(
            f"{path} has {len(source)} images, {truth.path} the truth of {len(truth.images)}: give "
            "the particle file that was simulated with it by `--particles`."
        )
    return source


def kept_references(config: ValidateConfig, truth: GroundTruth) -> Path | None:
    """Beside the truth; None for other particles than the truth's own, whose references differ."""
    if config.particles is None or config.particles.resolve() == truth.particles.resolve():
        return truth.path.with_name(REFERENCES)
    return None


def _dataset(truth: GroundTruth) -> dict[str, Any]:
    return {
        "truth": truth.path,
        "images": len(truth.images),
        "states": len(truth.states),
        "size": truth.size,
        "pixel_size": truth.pixel_size,
        "snr": truth.about["snr"],
    }


def _ceiling(truth: GroundTruth, references: References) -> dict[str, Any]:
    """What the references say of the data set itself."""
    posterior = references.posterior
    right = posterior.most_probable() == truth.images.state[posterior.rows]
    return {
        "images": len(posterior.rows),
        "states told right": float(np.mean(right)),
        "expected of the posteriors": posterior.expected_accuracy(),
        "entropy": posterior.entropy(),
        "oracle bandwidth": references.choice.best,
    }


def _maps(
    maps: MapSet, truth: GroundTruth, references: References, config: ValidateConfig
) -> ScoreReport:
    found = validate_maps(maps, truth, references, config.images, config.seed)
    scores = {"headline": found.headline(), "maps": found.table(), "states": found.state_table()}
    return ScoreReport(scores, map_figures(found))


def _images(
    outputs: Outputs,
    truth: GroundTruth,
    source: AbstractImageSource,
    references: References,
    seed: int,
) -> ScoreReport:
    """Scores of latents, and of labels; labels stand in for latents where there are none."""
    report, latents = ScoreReport({}), latent_of(outputs)
    if outputs.labels is not None:
        scores = score_labels(outputs.labels, truth, references.posterior)
        report = ScoreReport({"labels": relative_table(scores)} if scores else {})
    if latents is None:
        return report
    found = validate_latents(latents, truth, source.table(), references, seed)
    return report.with_part(ScoreReport(found.table(), latent_figures(found, seed)))


def _promises(
    outputs: Outputs,
    maps: MapSet | None,
    truth: GroundTruth,
    references: References,
    seed: int,
) -> ScoreReport:
    """False heterogeneity, and calibration where it can be tested."""
    spread = validate_null(outputs, maps, truth, references, seed)
    scores: dict[str, Any] = {"spread": spread} if spread else {}
    try:
        calibration = validate_calibration(outputs, truth, seed)
    except ValueError as error:
        _logger.warning("Calibration is not scored: %s", error)
        calibration = []
    return ScoreReport(scores | ({"calibration": calibration} if calibration else {}))
