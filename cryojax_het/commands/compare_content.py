"""All that a page on several runs shows."""

import shlex
from pathlib import Path
from typing import Any

from ..report.page_blobs import Blobs
from ..report.page_record import command_line, run_facts
from ..results.run import RunFolder
from .compare import CompareConfig
from .compared_run import run_names
from .report import ReportConfig
from .report_against import beside
from .report_content import report_content
from .report_run import open_reported


def compare_content(config: CompareConfig, blobs: Blobs) -> dict[str, Any]:
    """The first run's images and volumes with what the others say of them, agreement, and the runs
    in a table. Raises as `beside`."""
    first, *others = config.runs
    compared = beside(first, others, config.truth)
    settings = ReportConfig(
        run=first,
        voxels=config.voxels,
        images=config.images,
        particles=config.particles,
        data_dir=config.data_dir,
    )
    content = report_content(open_reported(settings), settings, blobs, compared)
    names = run_names(list(config.runs))
    command = ["cryojax-het", "compare", *map(str, config.runs)]
    sections = [part for part in content["sections"] if part["id"] in ("agreement", "images")]
    return content | {
        "title": "Compared: " + ", ".join(names),
        "subtitle": shlex.join(command),
        "factsTitle": "Compared",
        "facts": [("runs", str(len(names))), *_of_images(content)],
        "exploreNote": f"Axes and volumes are those of {names[0]}; latents of the others are "
        "mapped onto its own (affine, least squares). Series of single images show the map that "
        "each run gives to them.",
        "sections": [*sections, _runs_section(config.runs, names)],
    }


def _of_images(content: dict[str, Any]) -> list[tuple[str, Any]]:
    particles = content["particles"]
    return [] if particles is None else [("images", particles["count"])]


def _runs_section(paths: tuple[Path, ...], names: list[str]) -> dict[str, Any]:
    """One row of facts per run, and its command."""
    facts = []
    for path in paths:
        run = RunFolder(path)
        method = run.config().get("volume", "")
        facts.append(dict(run_facts(run, method)) | {"command": command_line(run)})
    shared = ["method", "status", "took", "seed"]
    shared += [k for k in facts[0] if k not in shared and all(k in one for one in facts)]
    shared = [k for k in dict.fromkeys(shared) if k != "started"]
    rows = [[name, *(one.get(k) for k in shared)] for name, one in zip(names, facts, strict=True)]
    table = {"head": ["run", *shared], "rows": rows}
    return {"id": "runs", "title": "Runs", "tables": [table]}
