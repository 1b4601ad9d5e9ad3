"""Scores and the figures that belong to them, written together once everything is computed."""

import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from ..results.disk import explained, write_text

SCORES = "scores.json"


@final
@dataclass(frozen=True)
class ScoreReport:
    """`scores` by name, and `figures`: what draws a PNG at a path, by the file's name."""

    scores: Mapping[str, Any]
    figures: Mapping[str, Callable[[Path], None]] = field(default_factory=dict)

    def with_part(self, other: "ScoreReport") -> "ScoreReport":
        """Both; where they have a name in common, the other's."""
        return ScoreReport({**self.scores, **other.scores}, {**self.figures, **other.figures})

    def write(self, folder: Path) -> None:
        """Figures, and `scores.json` last: where it is, everything is.

        They replace scores and figures of an earlier validation in the folder, which stay where
        anything fails. Raises `OSError`, with a remedy, where nothing can be written.
        """
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".scores", dir=folder) as aside:
                for name, draw in self.figures.items():
                    draw(Path(aside) / name)
                _remove_earlier(folder)
                for name in self.figures:
                    os.replace(Path(aside) / name, folder / name)
            listed = {**self.scores, "figures": list(self.figures)}
            text = json.dumps(plain(listed), indent=1, allow_nan=False)
            write_text(folder / SCORES, text + "\n")


def _remove_earlier(folder: Path) -> None:
    earlier = folder / SCORES
    if not earlier.is_file():
        return
    try:
        figures = json.loads(earlier.read_text())["figures"]
    except (ValueError, KeyError) as error:
        raise FileExistsError(
            f"{earlier} is not of a validation: choose another output by `-o`."
        ) from error
    earlier.unlink()
    for name in figures:
        (folder / Path(name).name).unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """`value` as JSON knows it: arrays as lists, paths as text, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
