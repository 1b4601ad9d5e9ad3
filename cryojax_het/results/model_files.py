"""A model in a run folder: `model/<name>.npz`, arrays by name, and what they are in `.json`."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from .disk import explained, write_arrays, write_text
from .run import RunFolder


def save_model(
    folder: RunFolder, name: str, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> None:
    """Write both files, each whole or not at all; `about` has its `format`."""
    place = folder.folder("model")
    with explained(place):
        write_arrays(place / f"{name}.npz", arrays)
        write_text(place / f"{name}.json", json.dumps(dict(about), indent=1) + "\n")


def model_about(folder: RunFolder, name: str, kind: str, version: int) -> dict[str, Any]:
    """What a model is. `FileNotFoundError` where the run has none, `kind` being what it would be
    of; `ValueError` where another version than `version` wrote it."""
    path = folder.path / "model" / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the run is not of {kind}, or not finished."
        )
    about = json.loads(path.read_text())
    if about["format"] != version:
        raise ValueError(f"{path} has the format {about['format']}; this version reads {version}.")
    return about


def model_arrays(folder: RunFolder, name: str) -> dict[str, np.ndarray]:
    """Its arrays."""
    with np.load(folder.path / "model" / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)
