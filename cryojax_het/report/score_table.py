"""Scores as text for a terminal: what a reader needs in the order of asking."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

_WIDTH = 34
_NONE = "–"


def score_text(scores: Mapping[str, Any]) -> str:
    """The tables of what `analysis/validation.py` returns, each where it was scored; a dash where
    a number has no meaning."""
    tables = {
        "maps": _maps,
        "states": _states,
        "latents": lambda found: _relative("latents", found),
        "labels": lambda found: _relative("labels", found),
        "leaks": _leaks,
        "populations": _populations,
        "spread": _spread,
        "calibration": _calibration,
        "agreement": _agreement,
    }
    parts = [table(scores[name]) for name, table in tables.items() if scores.get(name)]
    return "\n\n".join([_head(scores), *parts])


def _head(scores: Mapping[str, Any]) -> str:
    lines = [str(scores["method"])]
    if "dataset" in scores:
        about = scores["dataset"]
        lines.append(
            f"{about['images']:,} images of {about['size']} pixels at {about['pixel_size']:g} Å, "
            f"{about['states']} states, SNR {about['snr']:g}"
        )
    if "headline" in scores:
        best = scores["headline"]
        lines.append(
            f"gap closed {_share(best['gap_closed'])} ({best['mask']}: {best['value']:.3f}, "
            f"consensus {best['consensus']:.3f}, true labels {best['oracle']:.3f})"
        )
    if scores.get("agreement"):
        name, first = next(iter(scores["agreement"].items()))
        lines.append(f"agreement {_share(first['share'])} of the way from chance to 1 ({name})")
    return "\n".join(lines)


def _maps(maps: Mapping[str, Any]) -> str:
    images = next(iter(maps.values()))["method"]["images"]
    return _areas(f"maps of {images} images: FSC area", maps)


def _states(states: Mapping[str, Any]) -> str:
    return _areas("mean map of each true state", states["by mask"])


def _areas(title: str, masks: Mapping[str, Any]) -> str:
    rows = []
    for mask, score in masks.items():
        method, oracle, consensus = score["method"], score["oracle"], score["consensus"]
        low, high = method["quartiles"]
        middle = [_number(s["median"]) for s in (method, consensus, oracle)]
        found = f"{_number(method['resolution'], 1)} Å"
        rows.append([mask, *middle, _share(score["gap_closed"]), f"{low:.3f}-{high:.3f}", found])
    head = [title, "method", "consensus", "true labels", "gap", "quartiles", "FSC 0.5"]
    return _table(head, rows)


def _relative(title: str, scores: Mapping[str, Any]) -> str:
    rows = [
        [name, *(_number(s[key]) for key in ("value", "chance", "ceiling")), _share(s["share"])]
        for name, s in scores.items()
    ]
    return _table([title, "value", "chance", "ceiling", "share"], rows)


def _leaks(scores: Mapping[str, Any]) -> str:
    rows = [
        [f"imbalance to {name}", _number(s["value"]), _number(s["chance"])]
        for name, s in scores.items()
    ]
    return _table(["leaks (1: none)", "value", "chance"], rows)


def _populations(found: Mapping[str, Any]) -> str:
    energy = found["free_energy"]
    distances = [_number(found[key], 4) for key in ("distance", "flat", "ceiling")]
    errors = [_number(energy[key]) for key in ("value", "chance", "ceiling")]
    rows = [["earth mover's distance", *distances], ["free energy error, k_B T", *errors]]
    return _table(["populations (0: exact)", "method", "flat", "best possible"], rows)


def _spread(spread: Mapping[str, Any]) -> str:
    rows = [[name, f"{value:.4g}"] for name, value in spread.items()]
    return _table(["false heterogeneity", "value"], rows)


def _calibration(rows: Iterable[Mapping[str, Any]]) -> str:
    lines = [
        [f"{row['level']:.0%} regions", f"{row['observed']:.3f} ± {row['error']:.3f}"]
        for row in rows
    ]
    return _table(["calibration", "coverage"], lines)


def _agreement(found: Mapping[str, Any]) -> str:
    rows = [
        [name, _number(s["value"]), _number(s["chance"]), _share(s["share"])]
        for name, s in found.items()
    ]
    return _table(["agreement of the two", "value", "chance", "share"], rows)


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else _NONE


def _share(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else _NONE


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    widths[0] = max(widths[0], _WIDTH)
    line = lambda row: "  ".join(
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    )
    return "\n".join([line(head), *map(line, rows)])
