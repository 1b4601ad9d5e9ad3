"""Tables of the suite: a compact one between markers of the README, a longer one in a file."""

import json
import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from methods import SCORED, applies
from sets import SETS

BEGIN, END = "<!-- suite: begin -->", "<!-- suite: end -->"
LEAST_GAP = 0.003  # of FSC areas: below it a share of the gap is noise
# Beside what `SCORED` names, peers that lines of a `--given` file may name.
PEERS = ("cryoDRGN", "RECOVAR")


class Scored(NamedTuple):
    """Scores of a method on a set, and the seconds of its fit: `clock` "CPU", or "wall" where only
    that is known, of a run on one core; None where neither is."""

    scores: dict
    seconds: float | None
    clock: str


def scored_here(out: Path) -> dict[tuple[str, str], Scored]:
    """All scores under the suite's folder."""
    found = {}
    for path in sorted(out.glob("*/*-scores/scores.json")):
        entry, folder = path.parent.name.removesuffix("-scores"), path.parents[1]
        if entry in SCORED:
            found[folder.name, entry] = _read(path, folder / f"{SCORED[entry][0]}.json")
    return found


def read_given(path: Path | None) -> dict[tuple[str, str], Scored]:
    """Scores made elsewhere. Raises `ValueError` for a line that is not SET NAME SCORES [LOG]."""
    found = {}
    for line in [] if path is None else path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) not in (3, 4) or words[0] not in SETS or words[1] not in (*SCORED, *PEERS):
            raise ValueError(f"{path}: a line is SET NAME SCORES [LOG]. Got {line!r}.")
        folder = Path(words[2])
        log = Path(words[3]) if len(words) == 4 else folder / "none"
        found[words[0], words[1]] = _read(folder / "scores.json", log)
    return found


def write_tables(found: dict[tuple[str, str], Scored], readme: Path, table: Path) -> None:
    """Both, from whatever is found. Raises `ValueError` where the README has no markers."""
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{readme} must hold {BEGIN} and {END} once each, in this order.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{compact(found)}\n{END}{after}")
    head = (table.read_text() if table.is_file() else f"{BEGIN}{END}").split(BEGIN)
    rest = head[1].split(END)[1]
    table.write_text(f"{head[0]}{BEGIN}\n\n{long(found)}\n\n{END}{rest}")


def compact(found: dict[tuple[str, str], Scored]) -> str:
    """A row per method, a column per set: gap closed and minutes of the fit."""
    names = [name for name in SETS if any(key[0] == name for key in found)]
    methods = [m for m in (*SCORED, *PEERS) if m in SCORED or any(key[1] == m for key in found)]
    rows = [[m, *(_cell(found, name, m) for name in names)] for m in methods]
    return _table(["method", *names], rows)


def long(found: dict[tuple[str, str], Scored]) -> str:
    """A row for every set and method."""
    head = ["set", "method", "gap closed", "FSC area", "consensus", "true labels"]
    head += ["first score of latents", "value", "chance", "ceiling", "others", "fit, s", "clock"]
    order = sorted(found, key=lambda key: (SETS.index(key[0]), _rank(key[1])))
    return _table(head, [_row(*key, found[key]) for key in order])


def _read(path: Path, log: Path) -> Scored:
    scores = json.loads(path.read_text())
    if log.is_file():
        return Scored(scores, json.loads(log.read_text())["cpu_seconds"], "CPU")
    record = Path(scores["method"]) / "run.json"
    held = json.loads(record.read_text()) if record.is_file() else {}
    if "finished" not in held or held["resumed"]:
        return Scored(scores, None, "-")
    ends = [datetime.fromisoformat(held[name]) for name in ("started", "finished")]
    return Scored(scores, (ends[1] - ends[0]).total_seconds(), "wall")


def _cell(found, name: str, method: str) -> str:
    if method in SCORED and not applies(SCORED[method][0], name):
        return "–"
    if (name, method) not in found:
        return ""
    one = found[name, method]
    spent = "" if one.seconds is None else f" · {one.seconds / 60:.1f}"
    return f"{_closed(one.scores)}{spent}{'*' if one.clock == 'wall' else ''}"


def _closed(scores: dict) -> str:
    """The share of the gap that is closed; of a rigid set, the area under the FSC itself."""
    best = scores.get("headline")
    if not best:
        return "no maps"
    gap = best["oracle"] - best["consensus"]
    return f"{100 * best['gap_closed']:.0f} %" if gap > LEAST_GAP else f"{best['value']:.3f}"


def _row(name: str, method: str, one: Scored) -> list[str]:
    best = one.scores.get("headline") or {}
    areas = [_number(best.get(key)) for key in ("value", "consensus", "oracle")]
    latents = one.scores.get("latents") or {}
    first = next(iter(latents), "-")
    values = [_number(latents.get(first, {}).get(key)) for key in ("value", "chance", "ceiling")]
    others = [f"{key} {_number(s['value'])}" for key, s in latents.items() if key != first]
    seconds = "" if one.seconds is None else f"{one.seconds:.0f}"
    closed = _closed(one.scores)
    return [name, method, closed, *areas, first, *values, ", ".join(others), seconds, one.clock]


def _rank(method: str) -> int:
    order = (*SCORED, *PEERS)
    return order.index(method) if method in order else len(order)


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None and math.isfinite(value) else "-"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
