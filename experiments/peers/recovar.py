"""RECOVAR 1.0.x (`pipeline`, then `compute_state`) on a STAR file; its outputs as plain files.

    python recovar.py PARTICLES.star -o OUT --bin ENV/bin --zdim 4 --columns 50 --maps 40

Maps are RECOVAR's recommended ones, by kernel regression at each image's own latent, with local
filtering (`OUT/maps`); beside them, for the same rows, those of its linear model, filtered mean +
Σ_k z_k u_k (`OUT/maps_linear`). Latents are its regularised ones, their covariance the inverse of
its precision. `OUT/consensus.mrc` is the filtered mean. RECOVAR finds the sign of the data itself.

On a CPU version 1.0.5 needs `shims/recovar_on_cpu.py`: without it every mean is magnified by two,
and no correction of the maps afterwards brings back what was cropped and fitted wrongly. `--plain`
runs it without (on a GPU). Cut for two cores: 50 covariance columns instead of 300
(`--low-memory-option`). Kernel regression chooses among its estimates place by place, in balls of
1/20 of the box. RECOVAR warns that these are small in a small box; `--ball` sets their radius in
pixels. In a trial at box 32 the default was the better one (three maps, median of the mean FSC to
the truth: 0.945; with 5.3 pixels 0.930).
"""

import argparse
import os
from pathlib import Path

import numpy as np
from jaxtyping import Int
from layout import (
    DataSet,
    chosen_rows,
    fresh_folder,
    map_name,
    open_data,
    parser,
    place_map,
    write_latents,
    write_map,
)
from stages import PeerRun, versions

from cryojax_het.particles.mrc import read_volume

PACKAGES = ["recovar", "jax", "numpy"]
COLUMNS = {300: [], 50: ["--low-memory-option"], 25: ["--very-low-memory-option"]}
SHIM = Path(__file__).parent / "shims" / "recovar_on_cpu.py"


def arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--columns", type=int, choices=COLUMNS, default=50, help="of the covariance")
    made.add_argument("--mask", default="from_halfmaps", help="as RECOVAR's: a map, sphere, none")
    made.add_argument("--ball", type=float, help="radius of the local choice, pixels")
    made.add_argument("--correct-contrast", action="store_true")
    made.add_argument("--plain", action="store_true", help="RECOVAR without our correction")
    return made.parse_args()


def start(options: argparse.Namespace, data: DataSet) -> PeerRun:
    names = ("zdim", "columns", "mask", "ball", "correct_contrast", "plain")
    settings = {"particles": str(data.star), **{n: getattr(options, n) for n in names}}
    about = {
        "versions": versions(options.bin / "python", PACKAGES),
        "cut": f"{options.columns} covariance columns, RECOVAR's default: 300",
        "corrected": None if options.plain else SHIM.name,
    }
    return PeerRun(output=options.output, peer="recovar", settings=settings, about=about)


def program(options: argparse.Namespace) -> list[Path]:
    """First words of RECOVAR's command line."""
    return [options.bin / "recovar"] if options.plain else [options.bin / "python", SHIM]


def pipeline(run: PeerRun, options: argparse.Namespace, data: DataSet) -> Path:
    """Mean, covariance, components, latents; returns RECOVAR's folder."""
    folder = run.work / "pipeline"
    command = [*program(options), "pipeline", data.star, "-o", folder, "--mask", options.mask]
    command += ["--datadir", data.star.parent, "--zdim", options.zdim, *COLUMNS[options.columns]]
    command += ["--accept-cpu", "--no-downsample"]
    command += ["--correct-contrast"] * options.correct_contrast
    run.stage("pipeline", command, latent_file(folder, options.zdim, "coords"))
    return folder


def latent_file(folder: Path, zdim: int, kind: str) -> Path:
    """Where RECOVAR has latents, rows as in the STAR: `coords` [n, d], `precision` [n, d, d]."""
    return folder / "model" / f"zdim_{zdim}" / f"latent_{kind}.npy"


def states(
    run: PeerRun, options: argparse.Namespace, data: DataSet, rows: Int[np.ndarray, " k"]
) -> None:
    """Maps by kernel regression at the latents of `rows`."""
    folder, points = run.work / "states", run.work / "points.txt"
    np.savetxt(points, np.load(options.output / "latents.npy")[rows])
    last = folder / f"state{len(rows) - 1:03d}.mrc"
    last.unlink(missing_ok=True)
    command = [*program(options), "compute_state", run.work / "pipeline", "-o", folder]
    command += ["--latent-points", points]
    if options.ball is not None:
        command += ["--maskrad-fraction", data.size / options.ball]
    command += ["--zdim1"] * (options.zdim == 1)
    run.stage("states", command, last)
    maps = fresh_folder(options.output / "maps")
    for number, row in enumerate(rows):
        place_map(folder / f"state{number:03d}.mrc", maps / map_name(row), data)


def linear_maps(
    folder: Path, options: argparse.Namespace, data: DataSet, rows: Int[np.ndarray, " k"]
) -> None:
    """Maps of the linear model at the latents of `rows`."""
    stored = folder / "output" / "volumes"
    names = [f"eigen_pos{number:04d}.mrc" for number in range(options.zdim)]
    components = np.stack([read_volume(stored / name).data for name in names])
    mean = read_volume(stored / "mean_filt.mrc").data
    latents = np.load(options.output / "latents.npy")[rows]
    maps = fresh_folder(options.output / "maps_linear")
    for row, latent in zip(rows, latents, strict=True):
        write_map(maps / map_name(row), mean + np.tensordot(latent, components, 1), data)


def main() -> None:
    """Pipeline, latents, linear maps, states."""
    options = arguments()
    # a symbolic link of an environment must not be followed: it leads out of it
    options.bin, options.output = Path(os.path.abspath(options.bin)), options.output.resolve()
    data = open_data(options.particles)
    run = start(options, data)
    folder = pipeline(run, options, data)
    coordinates = np.load(latent_file(folder, options.zdim, "coords"))
    precision = np.load(latent_file(folder, options.zdim, "precision"))
    write_latents(options.output, coordinates, np.linalg.inv(precision), data.count)
    place_map(folder / "output/volumes/mean_filt.mrc", options.output / "consensus.mrc", data)
    rows = chosen_rows(options, data.count)
    linear_maps(folder, options, data, rows)
    states(run, options, data, rows)
    run.write()


if __name__ == "__main__":
    main()
