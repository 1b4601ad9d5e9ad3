"""Curves of a page: how a run converged, Fourier shell correlations, free energies, posteriors."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..analysis.fsc import masked_fsc, shell_frequencies
from ..results.run import RunFolder

_MOST_LINES, _MOST_CHARTS = 8, 9
_UNITS = {"log_likelihood": "nats per image", "gain": "nats per image", "loss": "nats per image"}
_UNITS |= {"divergence": "nats", "resolution": "Å", "unmasked_resolution": "Å"}
_UNITS |= {"energy": "nats", "entropy": "nats", "power": "share of the mean's"}
_HIDDEN = ("step", "time", "not_finite", "sweeps", "loader_wait_share", "fsc", "factor")
FREQUENCY = {"label": "spatial frequency (1/Å)", "frequency": True}
FSC = {"label": "FSC", "range": [-0.05, 1.05]}
_THRESHOLDS = [{"y": 0.143, "label": "0.143"}, {"y": 0.5, "label": "0.5"}]


def convergence_charts(metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One chart per number that a run logged, against its steps; lists become several lines."""
    names = dict.fromkeys(key for line in metrics for key in line if key not in _HIDDEN)
    # Stages number their steps apart from each other: what was logged is counted.
    staged = any("stage" in line for line in metrics)
    charts = []
    for name in names:
        places = [k for k, line in enumerate(metrics) if _numbers(line.get(name))]
        lines = [metrics[k] for k in places]
        width = max((len(_numbers(line[name])) for line in lines), default=0)
        if not 0 < width <= _MOST_LINES or len(lines) < 2:
            continue
        steps = [k + 1 if staged else metrics[k]["step"] for k in places]
        curves = []
        for k in range(width):
            held = [(_numbers(line[name]) + [None] * width)[k] for line in lines]
            label = f"{k + 1}" if width > 1 else name
            curves.append({"name": label, "x": steps, "y": held, "points": len(lines) < 40})
        title, unit = name.replace("_", " "), _UNITS.get(name)
        label = f"{title} ({unit})" if unit else title
        x = {"label": "line of the log, over all stages" if staged else "step"}
        charts.append(_chart(title, x, {"label": label, "log": _steep(curves)}, curves))
    return charts[:_MOST_CHARTS]


def _steep(curves: Sequence[Mapping[str, Any]]) -> bool:
    """Whether only a logarithmic axis shows more than the start."""
    values = np.array([y for curve in curves for y in curve["y"] if y is not None])
    return bool(np.all(values > 0) and values.max() > 50 * np.median(values))


def _numbers(value: Any) -> list[float]:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, list) and all(isinstance(v, int | float) for v in value):
        return [float(v) for v in value]
    return []


def _chart(title: str, x, y, lines, note: str | None = None) -> dict[str, Any]:
    return {"title": title, "x": x, "y": y, "lines": lines, "note": note}


def fsc_charts(run: RunFolder) -> list[dict[str, Any]]:
    """The curves that the run left (`analysis/*fsc.csv`); where it left none, those of its two
    half-maps, with the correction for its mask."""
    charts = []
    for path in sorted((run.path / "analysis").glob("*fsc.csv")):
        table = read_csv(path)
        x = next((k for k in table if k.startswith("frequency")), None)
        if x is None:
            continue
        names = [name for name in table if name not in (x, "shell")]
        lines = [_line(name.replace("_", " "), table[x], table[name]) for name in names]
        title = {"fsc": "half-maps", "class_fsc": "half-maps of each class"}
        shown = title.get(path.stem, path.stem.replace("_", " "))
        charts.append(_chart(shown, FREQUENCY, FSC, lines) | {"marks": _THRESHOLDS})
    return charts or list(_of_half_maps(run))


def _of_half_maps(run: RunFolder) -> Iterator[dict[str, Any]]:
    there = {path.stem for path in (run.path / "volumes").glob("*.mrc")}
    if not {"half1", "half2", "mask"} <= there:
        return
    first, second, mask = (run.volume(name) for name in ("half1", "half2", "mask"))
    found = masked_fsc(first.data, second.data, mask.data)
    x = shell_frequencies(len(mask.data), first.voxel_size[0])
    names = ("unmasked", "masked", "randomised", "corrected")
    lines = [_line(name, x, getattr(found, name)) for name in names]
    note = "Of the half-maps that the run left, under its mask; corrected by randomised phases."
    yield _chart("half-maps", FREQUENCY, FSC, lines, note) | {"marks": _THRESHOLDS}


def _line(name: str, x: Float[np.ndarray, " s"], y: Float[np.ndarray, " s"]) -> dict[str, Any]:
    return {"name": name, "x": np.asarray(x), "y": np.asarray(y, np.float64)}


def energy_charts(folder: Path) -> list[dict[str, Any]]:
    """Free energies along components (`landscape_*.csv`) with bands, the histogram beside them, and
    along the nodes of a path (`*/profile.csv`)."""
    charts = []
    for path in sorted(folder.glob("landscape_*.csv")):
        table = read_csv(path)
        if not {"z", "density", "free_energy", "counted"} <= set(table):
            continue
        number = path.stem.removeprefix("landscape_").lstrip("0")
        molecules = _line("molecules", table["z"], table["free_energy"]) | _band(table)
        with np.errstate(divide="ignore"):
            counted = -np.log(table["counted"])
        counted -= np.min(counted[np.isfinite(counted)], initial=np.inf)
        lines = [molecules, _line("histogram of estimates", table["z"], counted) | {"dash": "dot"}]
        note = "Noise of the estimates taken out; bands of resampled images."
        y = {"label": "free energy (kT)"}
        x = {"label": f"latent {number}"}
        charts.append(_chart(f"along latent {number}", x, y, lines, note))
    return charts + [
        chart for path in sorted(folder.glob("*/profile.csv")) for chart in _profile(path)
    ]


def _band(table: Mapping[str, np.ndarray]) -> dict[str, Any]:
    if not {"free_energy_low", "free_energy_high"} <= set(table):
        return {}
    return {"low": table["free_energy_low"], "high": table["free_energy_high"]}


def _profile(path: Path) -> Iterator[dict[str, Any]]:
    table = read_csv(path)
    if "free_energy" not in table:
        return
    x = table.get("position", np.arange(len(table["free_energy"]), dtype=np.float64))
    line = _line("free energy", x, table["free_energy"]) | {"points": True}
    if {"low_90", "high_90"} <= set(table):
        line |= {"low": table["low_90"], "high": table["high_90"]}
    y = {"label": "free energy (kT)"}
    x_axis = {"label": "position along the path"}
    yield _chart(f"along the path, prior {path.parent.name}", x_axis, y, [line])


def posterior_charts(path: Path, most: int = 4) -> list[dict[str, Any]]:
    """Means and 90 % intervals of the sampled images (`summary.csv` of `sample`), in order of the
    means; the first `most` quantities."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    charts = []
    for quantity in list(dict.fromkeys(row["quantity"] for row in rows if row["image"]))[:most]:
        mine = [row for row in rows if row["quantity"] == quantity and row["image"]]
        mine.sort(key=lambda row: float(row["mean"]))
        columns = {k: [float(row[k]) for row in mine] for k in ("mean", "5%", "95%")}
        line = {"name": quantity, "x": list(range(len(mine))), "y": columns["mean"]}
        line |= {"low": columns["5%"], "high": columns["95%"], "points": True}
        x = {"label": "sampled images, in order of the mean"}
        charts.append(_chart(quantity, x, {"label": quantity}, [line]))
    return charts


def read_csv(path: Path) -> dict[str, Float[np.ndarray, " n"]]:
    """Columns of numbers by name."""
    with open(path, newline="") as file:
        head = next(csv.reader(file))
    table = np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)
    return dict(zip(head, table.T, strict=True))
