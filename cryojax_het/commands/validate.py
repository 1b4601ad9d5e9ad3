"""`cryojax-het validate`: the scores of a method against the truth, or against another method."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from ..particles.stack import ReadOptions

_logger = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True, kw_only=True)
class ValidateConfig:
    """What is scored, and against what."""

    run: Path
    """Run folder, or a folder with latents.npy, labels.npy or maps/ of any method."""
    truth: Path | None = None
    """truth.h5 of a simulated data set, or its folder."""
    against: Path | None = None
    """Another run on the same images, to compare without truth."""
    particles: Path | None = None
    """Particle file of the images; by default the particles.star beside the truth."""
    maps: Path | None = None
    """Folder of the maps of the run, where they are elsewhere."""
    output: Path | None = None
    """Folder for scores.json and the figures; by default `validation` in the run's."""
    images: int = 200
    """Images whose maps are scored one by one; 100 at least for stable medians."""
    rows: Path | None = None
    """File of row numbers, from 0, one a line: maps are scored on these images alone, so that
    methods that make few maps are compared on the same ones."""
    latent_images: int = 3000
    """Images that the ideal observer looks at, on which latents are scored."""
    seed: int = 0
    """Of the images drawn, and of ties."""
    read: ReadOptions = field(default_factory=ReadOptions)
    """How stacks are found and read."""

    @property
    def folder(self) -> Path:
        """Where results go."""
        return self.output or self.run / "validation"


def validate(config: ValidateConfig, command: Sequence[str]) -> dict[str, Any]:
    """Score, write `scores.json` and figures, print the table; returns the scores.

    Nothing is written before all is computed. Raises `FileNotFoundError` and `ValueError` where an
    input is missing or does not fit, `OSError` where results cannot be written.
    """
    from ..report.score_report import ScoreReport
    from ..report.score_table import score_text
    from ..simulate.truth import open_truth
    from .validate_pair import pair_report
    from .validate_truth import truth_report

    _check(config)
    names = [str(path) for path in (config.run, config.against) if path is not None]
    report = ScoreReport({"method": " against ".join(names), "command": list(command)})
    truth = None if config.truth is None else open_truth(config.truth)
    if config.against is not None:
        report = report.with_part(pair_report(config, config.against, truth))
    if truth is not None:
        report = report.with_part(truth_report(config, truth))
    try:
        report.write(config.folder)
    except ImportError as error:  # the scores are there; pictures are an extra
        _logger.warning("%s", error)
        report = ScoreReport(report.scores)
        report.write(config.folder)
    print(score_text(report.scores))
    print(f"\n{config.folder}: {', '.join(['scores.json', *report.figures])}")
    return dict(report.scores)


def _check(config: ValidateConfig) -> None:
    """Before the work, not after it."""
    if config.truth is None and config.against is None:
        raise ValueError(
            "Nothing to score against: give a simulated data set by `--truth`, or another run on "
            "the same images by `--against`."
        )
    for flag, count in (("images", config.images), ("latent-images", config.latent_images)):
        if count < 10:
            raise ValueError(f"`--{flag}` must be 10 or more. Got {count}.")
    for path in (config.run, config.against, config.maps):
        if path is not None and not path.is_dir():
            raise FileNotFoundError(
                f"{path} is no folder: give a run folder, or one with latents.npy, labels.npy or "
                "maps/."
            )
    if config.rows is not None and config.truth is None:
        raise ValueError("`--rows` are of images that are held against a truth: give `--truth`.")
    _check_output(config.folder)


def _check_output(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose another output by `-o`.")
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder} is not writable: choose another output by `-o`.")
