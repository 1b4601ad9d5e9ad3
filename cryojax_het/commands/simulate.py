"""`cryojax-het simulate`: a particle stack with complete truth."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ..results.config import config_table
from ..results.disk import write_text
from ..simulate.settings import Simulation

SUITES = ("CaM-1D", "AdK-DIMS", "IgG-1D", "IgG-1D-noisy", "Hsp90-2D", "30S-comp", "Rigid-null")
SUITES += ("hinge", "ring")


def with_suite(line: Sequence[str]) -> list[str]:
    """The command line with a suite, given first by its name or its TOML file, as `--config`."""
    if len(line) < 3 or line[2].startswith("-"):
        return list(line)
    name, rest = line[2], list(line[3:])
    if name in SUITES and not Path(name).exists():
        path = str(files("cryojax_het.simulate") / "suites" / f"{name}.toml")
    elif name.endswith(".toml"):
        path = name
    else:
        return list(line)
    return [*line[:2], "--config", path, *rest]


def simulate_command(settings: Simulation, command: Sequence[str]) -> None:
    """Simulate, and note the exact command and settings beside the files, in `simulation.json`."""
    from ..simulate.simulate import run_simulation

    written = run_simulation(settings)
    about = {"command": list(command), "settings": config_table(settings)}
    write_text(written.particles.with_name("simulation.json"), json.dumps(about, indent=1) + "\n")
    print(f"{settings.count:,} images: {written.particles}\ntruth: {written.truth}")
