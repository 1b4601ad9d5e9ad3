"""The section of a page on the centres of clusters: maps by the model and by kernel regression
compared, and local resolution, as `analyse` left them."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from .page_curves import FREQUENCY, FSC, read_csv

_CURVES = {
    "maps": ("model and kernel regression", 0.5),
    "deviations": ("their deviations from the mean", 0.5),
    "halves": ("half-maps of the regression", 0.143),
}
_NOTE = (
    "Maps at the image nearest to each cluster's centre, by the run's model and by kernel "
    "regression. Both see the same images: that they agree is no independent evidence. Half-maps "
    "share poses and latents, but no image."
)


def centres_section(folder: Path) -> dict[str, Any] | None:
    """Of `folder`, the analysis of a run; None where it has nothing of this."""
    sides, local = folder / "side_by_side", folder / "local_resolution"
    titles = {
        sides: "Where curves fall to 0.5 or 0.143 (Å)",
        local: "Local resolution, percentiles (Å)",
    }
    tables = [_table(place / "table.csv", title) for place, title in titles.items()]
    charts = _fsc_charts(sides / "fsc.csv")
    found = [table for table in tables if table is not None]
    if not found:
        return None
    about = {"id": "centres", "title": "Model and kernel regression", "note": _NOTE}
    return about | {"tables": found, "charts": charts}


def _fsc_charts(path: Path) -> list[dict[str, Any]]:
    """The median over centres of each kind of curve, between the least and the largest; without
    shell 0, which tells of no detail."""
    if not path.is_file():
        return []
    table, charts = read_csv(path), []
    for name, (title, level) in _CURVES.items():
        curves = np.stack([table[key][1:] for key in table if key.startswith(f"{name}_")])
        line = {"name": "median", "x": table["frequency_1/A"][1:], "y": np.median(curves, axis=0)}
        line |= {"low": curves.min(axis=0), "high": curves.max(axis=0)}
        chart = {"title": title, "x": FREQUENCY, "y": FSC, "lines": [line]}
        note = f"Over {len(curves)} centres; the band from the least to the largest."
        charts.append(chart | {"note": note, "marks": [{"y": level, "label": f"{level:g}"}]})
    return charts


def _table(path: Path, title: str) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    with open(path, newline="") as file:
        head, *rows = csv.reader(file)
    names = [name.replace("_", " ") for name in head]
    return {"title": title, "head": names, "rows": [[_cell(text) for text in row] for row in rows]}


def _cell(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value
