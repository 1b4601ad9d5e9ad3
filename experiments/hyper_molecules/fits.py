"""Hyper-molecules (`fit --volume prolate`) on small sets, scored as all methods there.

    python fits.py SETS OUT [--only CaM-1D] [--ways model regression]

SETS: the folder of `../six_sets/simulate.py`, rows cut as `../six_sets/peers.md` says. Runs the
command line as a user would, one process after the other on one device: fit, maps of the rows of
`rows.txt`, validation. Beside each, principal volumes with as many maps. What is there is not done
again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

RUNS = {  # folder: (set, flags)
    "IgG-1D": ("IgG-1D", ["--volume", "prolate", "--path", "circle", "--order", 3]),
    "IgG-1D-order5": ("IgG-1D", ["--volume", "prolate", "--path", "circle", "--order", 5]),
    "CaM-1D": ("CaM-1D", ["--volume", "prolate"]),
    "CaM-1D-order5": ("CaM-1D", ["--volume", "prolate", "--order", 5]),
    "AdK-DIMS": ("AdK-DIMS", ["--volume", "prolate"]),
    "Hsp90-2D": ("Hsp90-2D", ["--volume", "prolate", "--latents", 2]),
    "IgG-1D-linear": ("IgG-1D", ["--volume", "linear", "--components", 6]),
    "CaM-1D-linear": ("CaM-1D", ["--volume", "linear", "--components", 3]),
    "AdK-DIMS-linear": ("AdK-DIMS", ["--volume", "linear", "--components", 3]),
    "Hsp90-2D-linear": ("Hsp90-2D", ["--volume", "linear", "--components", 9]),
}


def run(*words) -> None:
    """One call of the command line."""
    subprocess.run([sys.executable, "-m", "cryojax_het", *map(str, words)], check=True)


def one(name: str, sets: Path, out: Path, ways: list[str]) -> None:
    """Fit, maps, scores."""
    kind, flags = RUNS[name]
    fitted = out / name
    run("fit", sets / kind / "particles.star", "-o", fitted, "--devices", 1, *flags)
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
