"""Scores as text for a terminal: what a reader needs in the order of asking."""

from collections.abc import Iterable, Mapping
from typing import Any

_WIDTH = 34


def score_text(scores: Mapping[str, Any]) -> str:
    """The tables of what `analysis/validation.py` returns, each where it was scored."""
    parts = [_head(scores)]
    parts += [_maps(scores["maps"])] if "maps" in scores else []
    parts += [_latents(scores)] if "latents" in scores else []
    parts += [_populations(scores["populations"])] if "populations" in scores else []
    parts += [_spread(scores["spread"])] if "spread" in scores else []
    parts += [_calibration(scores["calibration"])] if "calibration" in scores else []
    parts += [_agreement(scores["agreement"])] if "agreement" in scores else []
    return "\n\n".join(parts)


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
            f"gap closed {best['gap_closed']:.0%} ({best['mask']}: {best['value']:.3f}, "
            f"consensus {best['consensus']:.3f}, true labels {best['oracle']:.3f})"
        )
    return "\n".join(lines)


def _maps(maps: Mapping[str, Any]) -> str:
    rows = []
    for mask, score in maps.items():
        method, oracle, consensus = score["method"], score["oracle"], score["consensus"]
        low, high = method["quartiles"]
        middle = [f"{s['median']:.3f}" for s in (method, consensus, oracle)]
        found = f"{method['resolution']:.1f} Å"
        rows.append([mask, *middle, f"{score['gap_closed']:.0%}", f"{low:.3f}-{high:.3f}", found])
    head = ["maps: FSC area", "method", "consensus", "true labels", "gap", "quartiles", "FSC 0.5"]
    return _table(head, rows)


def _latents(scores: Mapping[str, Any]) -> str:
    rows = [
        [name, *(f"{s[key]:.3f}" for key in ("value", "chance", "ceiling")), f"{s['share']:.0%}"]
        for name, s in scores["latents"].items()
    ]
    table = [_table(["latents", "value", "chance", "ceiling", "share"], rows)] if rows else []
    leaks = [
        [f"imbalance to {name}", f"{s['value']:.3f}", "1.000"]
        for name, s in scores["leaks"].items()
    ]
    table.append(_table(["leaks (1: none)", "value", "chance"], leaks))
    return "\n\n".join(table)


def _populations(found: Mapping[str, Any]) -> str:
    rows = [
        ["earth mover's distance", *(f"{found[k]:.4f}" for k in ("distance", "flat", "ceiling"))],
        [
            "free energy error, k_B T",
            *(f"{found['free_energy'][k]:.3f}" for k in ("value", "chance", "ceiling")),
        ],
    ]
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
    rows = [[name, f"{s['value']:.3f}", f"{s['chance']:.3f}"] for name, s in found.items()]
    return _table(["agreement of the two", "value", "chance"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    widths[0] = max(widths[0], _WIDTH)
    line = lambda row: "  ".join(
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
    )
    return "\n".join([line(head), *map(line, rows)])
