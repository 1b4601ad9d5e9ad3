"""The public sets of `simulate`, in full or at half the box as in `../six_sets`."""

import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "six_sets"))

from simulate import SIZE, SNR, measured_snr, suite

from cryojax_het.analysis.map_scores import draw_images
from cryojax_het.simulate.truth import open_truth

SETS = (*SNR, "IgG-1D-noisy", "hinge", "ring")


def small(name: str, count: int) -> list:
    """Flags of a set of `count` images in a box of 32, its noise of the full set's density."""
    snr = SNR.get(name) or round(measured_snr(name), 3)
    whole = suite(name)
    pixel_size = whole.pixel_size * whole.size / SIZE
    return ["--count", count, "--size", SIZE, "--pixel-size", pixel_size, "--snr", snr]


def simulated(name: str, folder: Path, flags: list, maps: int) -> None:
    """The set, and `rows.txt`: images whose maps are compared, drawn over all states. What is
    there is kept."""
    if not (folder / "truth.h5").is_file():
        words = [sys.executable, "-m", "cryojax_het", "simulate", name, "-o", folder, *flags]
        subprocess.run([str(word) for word in words], check=True)
    if not (folder / "rows.txt").is_file():
        state = open_truth(folder).images.state
        rows = draw_images(state, np.arange(len(state)), maps, seed=0)
        np.savetxt(folder / "rows.txt", rows, "%d")
