"""A picture of each suite: images, the same low-passed, and projections of true states.

    python montage.py FOLDER PICTURE.png

Rows per suite: eight images as they are; the same with high frequencies damped; projections of
eight states along z.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from cryojax_het.commands.simulate import SUITES
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.truth import GroundTruth, open_truth

COLUMNS = 8


def states(truth: GroundTruth) -> list[np.ndarray]:
    """Projections along z of states evenly spaced over the file."""
    chosen = np.linspace(0, len(truth.states) - 1, COLUMNS).round().astype(int)
    return [truth.map(int(state)).sum(axis=0) for state in chosen]


def smooth(image: np.ndarray, cut: float = 0.25) -> np.ndarray:
    """Low-passed to `cut` of Nyquist by a Gaussian: what an eye can see of a noisy image."""
    k = np.fft.fftfreq(len(image)) * 2
    envelope = np.exp(-(k[:, None] ** 2 + k**2) / (2 * cut**2))
    return np.fft.ifft2(np.fft.fft2(image) * envelope).real


def rows(folder: Path) -> list[tuple[str, list[np.ndarray]]]:
    """Titles and images of a suite."""
    truth = open_truth(folder)
    source = open_particles(truth.particles)
    images = list(source.read(np.arange(COLUMNS) * (len(source) // COLUMNS)))
    name = f"{folder.name}, SNR {truth.about['snr']}"
    low = [smooth(image) for image in images]
    return [(name, images), ("low-passed", low), ("states", states(truth))]


def main() -> None:
    """Draw all suites that are there."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("folder", type=Path)
    made.add_argument("picture", type=Path)
    made.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    options = made.parse_args()
    there = [name for name in options.only if (options.folder / name / "particles.star").exists()]
    drawn = [row for name in there for row in rows(options.folder / name)]
    size = (COLUMNS * 1.25, len(drawn) * 1.25)
    figure, axes = plt.subplots(len(drawn), COLUMNS, figsize=size, squeeze=False)
    for line, (title, images) in zip(axes, drawn, strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image, cmap="gray", origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(title, fontsize=7)
    figure.tight_layout(pad=0.3)
    figure.savefig(options.picture, dpi=80)


if __name__ == "__main__":
    main()
