"""Metrics of a run: one JSON object per line, appended, readable while the run goes on."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_TAKEN_UP = {"taken_up": True}


def append_metrics(path: Path, values: Mapping[str, Any]) -> None:
    """Append `values` (with a "step") as one line, by one write: a kill tears the last at most."""
    line = json.dumps({key: _plain(value) for key, value in values.items()}) + "\n"
    with open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(line.encode()) != len(line.encode()):
                raise OSError(28, "No space left on device", str(path))
        except OSError:
            file.truncate(size)
            raise


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines, in order; empty where there is no file. A torn last line is left out.

    A resumed run starts at its last checkpoint and repeats the steps after it: lines from that
    step on, written before the run was taken up, are superseded and left out.
    """
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    taken_up = False
    for text in path.read_text().splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line == _TAKEN_UP:
            taken_up = True
            continue
        while taken_up and lines and lines[-1]["step"] >= line["step"]:
            lines.pop()
        taken_up = False
        lines.append(line)
    return lines


def mark_taken_up(path: Path) -> None:
    """Cut a torn last line, so that the next one starts on its own, and note the interruption."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with open(path, "r+b") as file:
            file.truncate(whole)
    append_metrics(path, _TAKEN_UP)


def _plain(value: Any) -> Any:
    # Scalars and arrays of NumPy and of jax alike; JSON has no NaN, and `null` says it better.
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    array = np.asarray(value)
    if array.ndim:
        return [_plain(item) for item in array]
    number = array.item()
    return None if isinstance(number, float) and not np.isfinite(number) else number
