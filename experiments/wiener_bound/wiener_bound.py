"""How near a reconstruction comes to the Wiener bound with the known noise.

Simulates images of an antibody with real CTF values, reconstructs them with the command that users
run, and compares the FSC of the map with the truth to the best that any linear estimate can reach:

    FSC_bound(s) = sqrt(SSNR / (1 + SSNR)),   SSNR(s) = S(s) I(s)

with `S` the mean power of the true map in the shell and `I` the information per Fourier voxel,
`Σ_images Σ_{|k| in s} |transfer|² / variance`, over the number of voxels of the shell.

    python wiener_bound.py --work FOLDER [--data SHARED_DATA]     writes wiener_bound.md
"""

import argparse
import os
from pathlib import Path

import jax
import numpy as np

from cryojax_het.analysis.fsc import crossing, fourier_shell_correlation, masked_fsc, volume_shells
from cryojax_het.commands.reconstruct import ReconstructConfig, reconstruct
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.optics import Optics
from cryojax_het.imaging.spectrum import shell_sum
from cryojax_het.particles.mrc import read_volume
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.truth import open_truth

CASES = ((64, 4.0, 10_000), (128, 2.0, 10_000))
SNR = 0.05


def information(star: Path, power: float, grid: FourierGrid) -> np.ndarray:
    """`I(s)`: information on each Fourier voxel of a shell, in 1/(density·Å³)²."""
    columns = open_particles(star).table().optics()
    count = len(columns["voltage"])

    @jax.jit
    @jax.vmap
    def squared(optics):
        return shell_sum(optics.ctf(grid) ** 2, grid)

    total = 0
    for start in range(0, count, 500):
        part = Optics.from_columns({k: v[start : start + 500] for k, v in columns.items()})
        total = total + np.asarray(squared(part), float).sum(axis=0)
    counted = shell_voxels(grid.size)
    return total / (power * float(grid.length) ** 2) / counted


def shell_voxels(size: int) -> np.ndarray:
    """Number of voxels of the full three-dimensional grid in each shell 0 to n//2."""
    shells = volume_shells((size,) * 3)
    weight = np.full(shells.shape, 2.0)
    weight[:, :, [0, -1]] = 1.0
    return np.bincount(shells.ravel(), weight.ravel())[: size // 2 + 1]


def bound(truth: np.ndarray, info: np.ndarray, grid: FourierGrid) -> np.ndarray:
    """FSC that the Wiener estimate with known noise has with the truth, per shell."""
    size, spacing = grid.size, float(grid.pixel_size)
    transform = np.fft.rfftn(truth.astype(float)) * spacing**3
    shells = volume_shells((size,) * 3)
    weight = np.full(shells.shape, 2.0)
    weight[:, :, [0, -1]] = 1.0
    power = np.bincount(shells.ravel(), (weight * np.abs(transform) ** 2).ravel())
    ssnr = power[: size // 2 + 1] / shell_voxels(size) * info
    return np.sqrt(ssnr / (1 + ssnr))


def one_case(size: int, pixel_size: float, count: int, work: Path, data: Path) -> list[str]:
    """Simulate, reconstruct, compare; the lines of one table."""
    folder = work / f"box{size}"
    star = folder / "particles.star"
    if not star.exists():
        run_simulation(
            Simulation(
                output=folder,
                source=data / "antibody" / "1hzh.pdb",
                count=count,
                size=size,
                pixel_size=pixel_size,
                snr=SNR,
                ctf_file=data / "optics" / "empiar10028_ctf.pkl",
            )
        )
    summary = reconstruct(ReconstructConfig(particles=star, output=folder / "run"), ["experiment"])
    grid = FourierGrid(size, pixel_size)
    volumes = folder / "run" / "volumes"
    mean, mask, half1, half2 = (
        read_volume(volumes / f"{name}.mrc").data.astype(float)
        for name in ("mean", "mask", "half1", "half2")
    )
    truth = read_volume(folder / "truth.mrc").data.astype(float)
    level = open_truth(folder).level
    limit = bound(truth, information(star, float(level.power[1]), grid), grid)
    reached = fourier_shell_correlation(mean, truth)
    inside = fourier_shell_correlation(mean * mask, truth * mask)
    halves = masked_fsc(half1, half2, mask)
    rows = {
        "FSC to truth, whole box": crossing(reached, 0.5),
        "Wiener bound, whole box": crossing(limit, 0.5),
        "half-maps 0.143, whole box": crossing(halves.unmasked, 0.143),
        "FSC to truth, in the mask": crossing(inside, 0.5),
        "half-maps 0.143, in the mask, corrected": crossing(halves.corrected, 0.143),
    }
    lines = [f"\n## Box {size} at {pixel_size:g} Å, {count:,} images, SNR {SNR}\n"]
    lines += [f"{summary['images_per_second']:.0f} images/s in this run.\n"]
    lines += ["| crossing | shell | Å |", "|---|---|---|"]
    lines += [f"| {k} | {v:.2f} | {size * pixel_size / v:.2f} |" for k, v in rows.items()]
    lines += ["", "| shell | FSC to truth | Wiener bound | half-maps | expected from halves |"]
    lines += ["|---|---|---|---|---|"]
    expected = np.sqrt(2 * np.clip(halves.unmasked, 0, 1) / (1 + np.clip(halves.unmasked, 0, 1)))
    for s in range(1, size // 2, max(1, size // 32)):
        row = (reached[s], limit[s], halves.unmasked[s], expected[s])
        lines.append(f"| {s} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    worst = np.max((limit - reached)[1 : int(crossing(limit, 0.5)) + 1])
    lines.append(f"\nLargest loss against the bound, up to its 0.5 crossing: {worst:.3f}.")
    return lines


def main() -> None:
    """Runs all cases and writes the table beside this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    default = os.environ.get("CRYOJAX_HET_DATA", root.parent / "shared" / "data")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path(default))
    given = parser.parse_args()
    text = ["# Reconstruction against the Wiener bound (antibody 1hzh, real CTF values)"]
    for case in CASES:
        text += one_case(*case, given.work, given.data)
    Path(__file__).with_suffix(".md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
