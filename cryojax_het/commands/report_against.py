"""What stands beside a run in its page: the truth, and other runs on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from ..report.page_columns import Column, truth_columns
from ..report.page_maps import MapBook
from ..report.page_series import list_series
from ..results.run import RunFolder
from ..simulate.truth import GroundTruth, open_truth
from .compared_run import ComparedRun, compared_run, run_names, true_run
from .comparison import agreement_section, aligned_columns, most_apart
from .comparison_maps import ComparedMaps, map_parts, maps_of_images


@final
@dataclass(frozen=True, kw_only=True)
class Beside:
    """What comparison adds to a page.

    - `columns` of images; `sections`; `apart`: the largest disagreement of each image;
    - `maps` of some images in each of the runs `names`.
    """

    columns: list[Column] = field(default_factory=list)
    sections: list[dict[str, Any]] = field(default_factory=list)
    apart: Float[np.ndarray, " n"] | None = None
    maps: ComparedMaps | None = None
    names: list[str] = field(default_factory=list)

    def series(self, book: MapBook) -> list[dict[str, Any]]:
        """The map of one image in each run, image by image."""
        if self.maps is None or book.frame.full != next(iter(self.maps.maps.values())).shape[-1]:
            return []
        found = []
        for place, row in enumerate(self.maps.rows.tolist()):
            numbers = {}
            for run, maps in self.maps.maps.items():
                name = f"image {row} in {self.names[run]}"
                numbers[self.names[run]] = book.add(name, maps[place])
            series = list_series(f"Image {row} in each run", numbers)
            for state in series["states"]:
                state["row"] = row
            found.append(series)
        return found


def beside(first: Path, others: Sequence[Path], truth: Path | None) -> Beside:
    """Compare the run `first` with others, and with the truth.

    Raises `FileNotFoundError` where one is no run or the truth is not there, `ValueError` where the
    images differ in number.
    """
    known = None if truth is None else open_truth(truth)
    if known is None and not others:
        return Beside()
    paths = [first, *others]
    runs = [
        compared_run(RunFolder(path), name)
        for path, name in zip(paths, run_names(list(paths)), strict=True)
    ]
    if known is not None:
        runs.append(true_run(known))
    _check(runs)
    return _compare(runs, known)


def _compare(runs: list[ComparedRun], truth: GroundTruth | None) -> Beside:
    estimates = runs if truth is None else runs[:-1]
    columns = aligned_columns(runs[0], estimates[1:])
    apart = most_apart(columns)
    if truth is not None:
        columns += truth_columns(truth)
    maps = maps_of_images(runs)
    section = agreement_section(runs, map_parts(runs, maps))
    there = section["charts"] or section["tables"]
    return Beside(
        columns=columns,
        sections=[section] if there else [],
        apart=apart,
        maps=maps,
        names=[run.name for run in runs],
    )


def _check(runs: Sequence[ComparedRun]) -> None:
    counts = {run.name: len(run.latent) for run in runs if run.latent is not None}
    counts |= {run.name: len(run.labels) for run in runs if run.labels is not None}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(f"All must be of the same images. Got different numbers: {listed}.")
