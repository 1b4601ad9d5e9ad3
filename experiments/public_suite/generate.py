"""All nine suites at full size by the command line, timed; then their baselines and ceilings.

    CRYOJAX_HET_DATA=... python generate.py FOLDER     simulate those that are not there
    python generate.py FOLDER --references              their baselines and ceilings
    python generate.py FOLDER --tables                  print the tables of generate.md

Times are those of the whole command (start, compilation, truth maps and all), wall and of all
threads. Records are in `FOLDER/NAME.json`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from reference_table import measure_references, reference_table
from suite_table import suite_table

from cryojax_het.commands.simulate import SUITES


def timed(words: list[str]) -> dict[str, float]:
    """Wall and CPU seconds of a child, and its largest memory in GB."""
    began = time.monotonic()
    process = subprocess.Popen(words)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(words)}: exit status {process.returncode}")
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 2),
    }


def record(folder: Path, name: str, part: str, make) -> None:
    """Add `make()` under `part` to the record of a suite, unless it is there."""
    path = folder / f"{name}.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    if part not in held:
        held[part] = make()
        path.write_text(json.dumps(held, indent=1) + "\n")
        print(name, part, held[part], flush=True)


def simulate(folder: Path, name: str) -> dict:
    """Run the command; what it took and left."""
    program = [sys.executable, "-m", "cryojax_het"]
    spent = timed([*program, "simulate", name, "-o", str(folder / name)])
    size = sum(path.stat().st_size for path in (folder / name).iterdir())
    stack = (folder / name / "particles.mrcs").stat().st_size
    return spent | {"mb": round(size / 1e6), "stack_mb": round(stack / 1e6)}


def main() -> None:
    """What the flags ask for, suite by suite."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("folder", type=Path)
    made.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    made.add_argument("--references", action="store_true")
    made.add_argument("--tables", action="store_true")
    options = made.parse_args()
    folder = options.folder
    if options.tables:
        print(suite_table(folder, options.only), reference_table(folder, options.only), sep="\n\n")
        return
    for name in options.only:
        there = (folder / name / "particles.star").exists()
        if options.references and there:
            record(folder, name, "references", lambda name=name: measure_references(folder / name))
        elif not options.references:
            record(folder, name, "simulate", lambda name=name: simulate(folder, name))


if __name__ == "__main__":
    main()
