"""Normal modes fitted to the small sets of `../six_sets`, scored as the other methods there are.

    CRYOJAX_HET_DATA=... python fits.py SETS OUT [--only AdK-closed]

Runs the command line as a user would: fit, maps of the 24 images of `rows.txt` by the model and by
kernel regression, validation of each; then `structures.py`. What is there is not done again.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

COMMON = ["--starts", 4, "--steps", 12, "--kept", 2, "--calibration-images", 256]
FRAMES = ("AdK-DIMS", "adk/adk_dims.dcd", "adk/adk.psf")
# The set, what it was simulated from, its topology, the structure, flags.
RUNS = {
    "AdK-closed": (*FRAMES, "adk/1ake.pdb", ["--modes", 8]),
    "AdK-open": (*FRAMES, "adk/4ake.pdb", ["--modes", 8]),
    "AdK-open-two": (*FRAMES, "adk/4ake.pdb", ["--modes", 8, "--beads", "two"]),
    "CaM-map": ("CaM-1D", "calmodulin/morph_1cfd_to_3cln.tar.gz", None, None, []),
}


def run(*words) -> None:
    """One call of the command line."""
    subprocess.run([sys.executable, "-m", "cryojax_het", *map(str, words)], check=True)


def one(name: str, sets: Path, out: Path, data: Path) -> None:
    """All stages of a run that are not there."""
    kind, source, topology, structure, flags = RUNS[name]
    own, fitted = sets / kind, out / name
    flags = [*flags, *COMMON]
    if structure is not None:
        flags += ["--structure", data / structure]
    run("fit", own / "particles.star", "-o", fitted, "--volume", "modes", *flags)
    rows = ",".join((own / "rows.txt").read_text().split())
    for way in ("model", "regression"):
        maps, scored = out / f"{name}-{way}", out / f"{name}-{way}-scores"
        if not maps.is_dir():
            run("volumes", fitted, "--particles", rows, "--by", way, "-o", maps)
            (maps / "latents.npy").unlink(missing_ok=True)
        if not (scored / "scores.json").is_file():
            run("validate", fitted, "--maps", maps, "--truth", own, "-o", scored)
    line = [sys.executable, Path(__file__).with_name("structures.py"), fitted, own]
    line += ["--source", data / source]
    line += [] if topology is None else ["--topology", data / topology]
    subprocess.run([str(word) for word in line], check=True)


def main() -> None:
    """Every run asked for."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("sets", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    options = made.parse_args()
    data = Path(os.environ["CRYOJAX_HET_DATA"])
    for name in options.only:
        print(name, flush=True)
        one(name, options.sets, options.out, data)


if __name__ == "__main__":
    main()
