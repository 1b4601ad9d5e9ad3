"""Moving Gaussians (`fit --volume gaussians`) on the six small sets, scored as all methods there.

    python fits.py SETS OUT [--only CaM-1D] [--ways model regression deformed]

SETS: the folder of `../six_sets/simulate.py`, rows cut as `../six_sets/peers.md` says. Runs the
command line as a user would, one process after the other on one device: fit, maps of the rows of
`rows.txt`, validation. What is there is not done again. `30S-comp` once more with `--occupancy
learned`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

RUNS = {  # folder: (set, flags)
    "IgG-1D": ("IgG-1D", []),
    "CaM-1D": ("CaM-1D", []),
    "Hsp90-2D": ("Hsp90-2D", []),
    "AdK-DIMS": ("AdK-DIMS", []),
    "30S-comp": ("30S-comp", []),
    "30S-comp-occupancy": ("30S-comp", ["--occupancy", "learned"]),
    "Rigid-null": ("Rigid-null", []),
}


def run(*words) -> None:
    """One call of the command line."""
    subprocess.run([sys.executable, "-m", "cryojax_het", *map(str, words)], check=True)


def one(name: str, sets: Path, out: Path, ways: list[str]) -> None:
    """Fit, maps, scores."""
    kind, flags = RUNS[name]
    fitted = out / name
    line = ["fit", sets / kind / "particles.star", "-o", fitted, "--volume", "gaussians"]
    run(*line, "--devices", 1, *flags)
    rows = ",".join((sets / kind / "rows.txt").read_text().split())
    for way in ways:
        maps, scored = out / f"{name}-{way}", out / f"{name}-{way}-scores"
        if not maps.is_dir():
            run("volumes", fitted, "--particles", rows, "--by", way, "-o", maps)
        if not (scored / "scores.json").is_file():
            run("validate", fitted, "--maps", maps, "--truth", sets / kind, "-o", scored)


def main() -> None:
    """Every run asked for."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("sets", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    made.add_argument("--ways", nargs="+", default=["model", "regression"])
    options = made.parse_args()
    for name in options.only:
        one(name, options.sets, options.out, options.ways)


if __name__ == "__main__":
    main()
