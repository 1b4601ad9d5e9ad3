"""Table of what the generation of each suite took."""

import json
from pathlib import Path

from cryojax_het.simulate.truth import open_truth

HEAD = (
    "| suite | atoms | states | images | box | Å | SNR | wall s | CPU s | images/s "
    "| images per CPU s | peak GB | MB |"
)


def suite_table(folder: Path, names: list[str]) -> str:
    """One row per suite that was simulated."""
    rows = [HEAD, "| --- " * HEAD.count(" | ") + "| --- |"]
    return "\n".join(rows + [_row(folder, name) for name in names if _spent(folder, name)])


def _spent(folder: Path, name: str) -> dict:
    path = folder / f"{name}.json"
    return json.loads(path.read_text()).get("simulate", {}) if path.exists() else {}


def _row(folder: Path, name: str) -> str:
    spent, truth = _spent(folder, name), open_truth(folder / name)
    atoms, count = truth.atoms(), len(truth.images)
    cells = [
        name,
        "formula" if atoms is None else f"{atoms.positions.shape[1]:,}",
        len(truth.states),
        f"{count:,}",
        truth.size,
        truth.pixel_size,
        truth.about["snr"],
        f"{spent['wall_s']:.0f}",
        f"{spent['cpu_s']:.0f}",
        f"{count / spent['wall_s']:.0f}",
        f"{count / spent['cpu_s']:.0f}",
        spent["peak_gb"],
        spent["mb"],
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
