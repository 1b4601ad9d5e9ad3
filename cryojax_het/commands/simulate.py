"""`cryojax-het simulate`: a particle stack with complete truth."""

import json
from collections.abc import Sequence

from ..results.config import config_table
from ..results.disk import write_text
from ..simulate.settings import Simulation


def simulate_command(settings: Simulation, command: Sequence[str]) -> None:
    """Simulate, and note the exact command and settings beside the files, in `simulation.json`."""
    from ..simulate.simulate import run_simulation

    files = run_simulation(settings)
    about = {"command": list(command), "settings": config_table(settings)}
    write_text(files.particles.with_name("simulation.json"), json.dumps(about, indent=1) + "\n")
    print(f"{settings.count:,} images: {files.particles}\ntruth: {files.truth}, {files.volume}")
