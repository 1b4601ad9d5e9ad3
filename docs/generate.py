"""Writes the pages that follow from the code: the command line's help, the API, the pictures.

python docs/generate.py          from the top of the repository
"""

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pictures

import cryojax_het
from cryojax_het.cli import COMMANDS
from cryojax_het.commands.fit import METHODS

DOCS = Path(__file__).resolve().parent / "pages"
ROOMS = {
    "imaging": "Grid, rotations, optics, noise, and `render`: the forward model of one image.",
    "structures": "Atoms, elastic networks, normal modes, trajectories.",
    "volumes": "Every model of a flexible density.",
    "particles": "Particle files in and out, stacks, the loader.",
    "inference": "Posteriors, updates, samplers, priors, devices.",
    "simulate": "Data sets with complete truth.",
    "results": "The run folder, and what is kept in it.",
    "analysis": "Scores, landscapes, paths, validation: functions of a run.",
    "report": "Figures and pages.",
}


def main() -> None:
    """All pages."""
    (DOCS / "api").mkdir(exist_ok=True)
    (DOCS / "commands.md").write_text(command_page())
    (DOCS / "api" / "index.md").write_text(api_index())
    for room, about in ROOMS.items():
        (DOCS / "api" / f"{room}.md").write_text(api_page(room, about))
    pictures.main()


def command_page() -> str:
    """`--help` of every command, and of every method of `fit`."""
    lines = ["# Commands", "", "What `cryojax-het COMMAND --help` prints.", ""]
    for name in COMMANDS:
        lines += [f"## {name}", "", "```text", told(name, "--help"), "```", ""]
        if name == "fit":
            for method in METHODS:
                options = told("fit", "--volume", method, "--help")
                lines += [f"### fit --volume {method}", "", "```text", options, "```", ""]
    return "\n".join(lines)


def told(*words: str) -> str:
    """What the command line prints, 100 columns wide, without colours."""
    ran = subprocess.run(
        [sys.executable, "-m", "cryojax_het", *words],
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in ran.stdout.strip().splitlines())


def api_index() -> str:
    """One line a room."""
    rows = [f"| [{room}]({room}.md) | {about} |" for room, about in ROOMS.items()]
    head = "# API\n\nOne folder per concern; a file imports from its own folder and those above it."
    return "\n".join([head, "", "| room | what it holds |", "|---|---|", *rows, ""])


def api_page(room: str, about: str) -> str:
    """Every public module of a room."""
    root = Path(cryojax_het.__file__).parent / room
    names = sorted(
        info.name
        for info in pkgutil.walk_packages([str(root)], f"cryojax_het.{room}.")
        if not info.ispkg and not info.name.rsplit(".", 1)[1].startswith("_")
    )
    return "\n".join([f"# {room}", "", about, "", *[f"::: {name}\n" for name in names]])


if __name__ == "__main__":
    main()
