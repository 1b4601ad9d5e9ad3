"""Tables of scores, times and memory of the peers on the six small sets."""

import json
import math
from pathlib import Path
from typing import Any

# Folder of the peer, and its maps in it.
METHODS = {
    "cryojax_het, regression": ("ours", "maps"),
    "cryojax_het, linear": ("ours", "maps_linear"),
    "cryoDRGN": ("cryodrgn", "maps"),
    "cryoDRGN, consensus": ("cryodrgn", "consensus.mrc"),
    "RECOVAR, regression": ("recovar", "maps"),
    "RECOVAR, linear": ("recovar", "maps_linear"),
    "RECOVAR, consensus": ("recovar", "consensus.mrc"),
}
# Folder of the peer, and the stage that makes its maps.
LAST = {"ours": "regression", "cryodrgn": "decode", "recovar": "states"}
LEAST_GAP = 0.003  # of FSC areas: below it a share of the gap is noise
MAPS_HEAD = (
    "| set | maps | gap closed | FSC area | consensus | true labels | whole box: area | gap |"
)
LATENTS_HEAD = "| set | latents of | score | value | chance | ceiling | share | others |"
COST_HEAD = "| set | peer | wall s | CPU s | of these, model | CPU s per map | peak GB |"


def tables(folder: Path, names: list[str]) -> str:
    """Maps, latents and costs."""
    found = {(n, m): _scores(folder, n, m) for n in names for m in METHODS}
    present = {key: scores for key, scores in found.items() if scores}
    maps = [_map_row(*key, scores) for key, scores in present.items()]
    latents = [
        _latent_row(n, m, s) for (n, m), s in present.items() if s.get("latents") and "," not in m
    ]
    latents += [
        _latent_row(n, m.removesuffix(", linear"), s)
        for (n, m), s in present.items()
        if s.get("latents") and m.endswith(", linear")
    ]
    costs = [_cost_row(folder, n, p) for n in names for p in LAST]
    parts = ((MAPS_HEAD, maps), (LATENTS_HEAD, sorted(latents)), (COST_HEAD, costs))
    return "\n\n".join(_table(head, [row for row in rows if row]) for head, rows in parts)


def _scores(folder: Path, name: str, method: str) -> dict[str, Any]:
    path = folder / name / "scores" / method / "validation" / "scores.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _map_row(name: str, method: str, scores: dict[str, Any]) -> list[str]:
    best, box = scores["headline"], scores["maps"]["whole box"]
    values = [_number(best[key]) for key in ("value", "consensus", "oracle")]
    rest = [_number(box["method"]["median"]), _gap(box)]
    return [name, method, _gap(scores["maps"][best["mask"]]), *values, *rest]


def _gap(score: dict[str, Any]) -> str:
    """The share that is closed; a dash where there is no gap to speak of."""
    gap = score["oracle"]["median"] - score["consensus"]["median"]
    return _share(score["gap_closed"]) if gap > LEAST_GAP else "-"


def _latent_row(name: str, method: str, scores: dict[str, Any]) -> list[str]:
    (headline, first), *others = scores["latents"].items()
    values = [_number(first[key]) for key in ("value", "chance", "ceiling")]
    more = ", ".join(f"{n} {_number(s['value'])} ({_share(s['share'])})" for n, s in others)
    return [name, method, headline, *values, _share(first["share"]), more]


def _cost_row(folder: Path, name: str, peer: str) -> list[str]:
    path = folder / name / peer / "peer.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    stages = {stage["name"]: stage["cpu_seconds"] for stage in held.get("stages", [])}
    last = LAST[peer]
    if not {"train", "pipeline", "fit"} & set(stages):
        return []
    count = len(list((folder / name / peer / "maps").glob("*.mrc")))
    model = f"{held['cpu_seconds'] - stages.get(last, 0):.0f}"
    each = f"{stages[last] / count:.1f}" if count and last in stages else "-"
    spent = [f"{held['seconds']:.0f}", f"{held['cpu_seconds']:.0f}", model, each]
    return [name, peer, *spent, str(held["peak_gb"])]


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None and math.isfinite(value) else "-"


def _share(value: float | None) -> str:
    return f"{100 * value:.0f} %" if value is not None and math.isfinite(value) else "-"


def _table(head: str, rows: list[list[str]]) -> str:
    rule = "| --- " * (head.count("|") - 1) + "|"
    return "\n".join([head, rule, *("| " + " | ".join(row) + " |" for row in rows)])
