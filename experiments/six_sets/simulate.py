"""The six small sets on which all methods are compared: suites at half the box.

    CRYOJAX_HET_DATA=... python simulate.py FOLDER [--only IgG-1D CaM-1D]

Box 32 at twice the pixel size, 4,000 images, seeds of the suites. The noise has the spectral
density σ²·pixel² of the full suite: such images as Fourier-cropping those of box 64 would give.
Then SNR = 4 · (clean variance at box 32 / at box 64) · SNR of the suite, which is in `SNR` to two
digits; `--measure` prints it from 512 clean images of each size.

Beside each set, `rows.txt`: the 24 images whose maps are compared, drawn so that every stretch of
states has its share.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from cryojax_het.analysis.map_scores import draw_images
from cryojax_het.commands.settings import from_table
from cryojax_het.results.config import read_toml
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.simulate import draw_particles, noise_level
from cryojax_het.simulate.specimen import make_specimen, prepared
from cryojax_het.simulate.truth import open_truth

COUNT, SIZE, MAPS = 4000, 32, 24
SNR = {
    "IgG-1D": 0.18,  # 0.05 in the suite, 0.183 measured
    "CaM-1D": 0.39,  # 0.1, 0.394
    "Hsp90-2D": 0.37,  # 0.1, 0.374
    "AdK-DIMS": 0.39,  # 0.1, 0.394
    "30S-comp": 0.33,  # 0.1, 0.333
    "Rigid-null": 0.39,  # 0.1, 0.392
}


def suite(name: str) -> Simulation:
    """Settings of the full suite."""
    path = Path(str(files("cryojax_het.simulate"))) / "suites" / f"{name}.toml"
    return from_table(Simulation, read_toml(path), path)


def measured_snr(name: str) -> float:
    """The SNR at box 32 that leaves the spectral density of the noise as in the suite."""
    full = replace(suite(name), count=COUNT)
    small = replace(full, size=SIZE, pixel_size=2 * full.pixel_size)
    level, cropped = (_level(settings) for settings in (full, small))
    return cropped.signal_variance / (level.sigma / 2) ** 2


def _level(settings: Simulation):
    specimen = make_specimen(settings)
    drawn = draw_particles(settings, specimen)
    return noise_level(settings, prepared(specimen.scene), *drawn)


def simulate(name: str, folder: Path) -> None:
    """Run the command line; write the rows."""
    pixel_size = 2 * suite(name).pixel_size
    flags = ["--count", COUNT, "--size", SIZE, "--pixel-size", pixel_size, "--snr", SNR[name]]
    words = [sys.executable, "-m", "cryojax_het", "simulate", name, "-o", folder, *flags]
    subprocess.run([str(word) for word in words], check=True)
    state = open_truth(folder).images.state
    rows = draw_images(state, np.arange(len(state)), MAPS, seed=0)
    np.savetxt(folder / "rows.txt", rows, "%d")


def main() -> None:
    """Simulate all that are not there."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("folder", type=Path)
    made.add_argument("--only", nargs="+", choices=SNR, default=list(SNR))
    made.add_argument("--measure", action="store_true", help="print the SNR instead")
    options = made.parse_args()
    for name in options.only:
        if options.measure:
            print(json.dumps({name: round(measured_snr(name), 4)}), flush=True)
        elif not (options.folder / name / "rows.txt").exists():
            simulate(name, options.folder / name)


if __name__ == "__main__":
    main()
