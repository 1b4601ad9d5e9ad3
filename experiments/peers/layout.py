"""What both drivers share: their options, the rows that get a map, and the plain files they leave.

OUT/latents.npy                   [n, d] float32, one row per row of the STAR file
OUT/latents_covariance.npy        [n, d, d] float32, posterior covariance of each row
OUT/maps/particle_000123.mrc      the map of image 123, counted from 0
OUT/consensus.mrc                 the peer's map of all images
OUT/peer.json                     times, memory, versions, command lines
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cryojax_het.particles.mrc import MrcVolume, read_volume, write_volume
from cryojax_het.particles.open import open_particles


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A particle file: its path, number of images, box and pixel size in Å."""

    star: Path
    count: int
    size: int
    pixel_size: float


def parser(about: str) -> argparse.ArgumentParser:
    """Options that both drivers have."""
    made = argparse.ArgumentParser(description=about.split("\n")[0])
    made.add_argument("particles", type=Path, help="STAR file")
    made.add_argument("-o", "--output", type=Path, required=True)
    made.add_argument("--bin", type=Path, required=True, help="folder of the peer's programs")
    made.add_argument("--zdim", type=int, default=4, help="latent dimensions")
    made.add_argument("--maps", type=int, default=100, help="number of images that get a map")
    made.add_argument("--rows", type=Path, help="text file of their rows from 0, instead of --maps")
    made.add_argument("--seed", type=int, default=0)
    return made


def open_data(star: Path) -> DataSet:
    """Size and pixel size from the file itself."""
    table = open_particles(star).table()
    kinds = set(zip(table.size.tolist(), table.pixel_size.tolist(), strict=True))
    if len(kinds) > 1:
        sys.exit(f"{star} has images of several boxes or pixel sizes, {sorted(kinds)}: split it.")
    size, pixel_size = kinds.pop()
    return DataSet(star=star.resolve(), count=len(table), size=size, pixel_size=pixel_size)


def chosen_rows(options: argparse.Namespace, count: int) -> Int[np.ndarray, " k"]:
    """The rows named by `--rows`, else `--maps` different rows drawn by the seed; in order."""
    if options.rows is None:
        drawn = np.random.default_rng(options.seed).choice(count, min(options.maps, count), False)
        return np.sort(drawn)
    rows = np.unique(np.loadtxt(options.rows, int, ndmin=1))
    if rows[0] < 0 or rows[-1] >= count:
        sys.exit(f"{options.rows}: rows {rows[0]} to {rows[-1]}, the images are 0 to {count - 1}.")
    return rows


def write_latents(
    output: Path, mean: Float[np.ndarray, "n d"], covariance: Float[np.ndarray, "n d d"], count: int
) -> None:
    """Write both files; exits where an image has no finite latent."""
    if len(mean) != count or not np.isfinite(mean).all():
        bad = int((~np.isfinite(mean)).any(axis=1).sum())
        sys.exit(f"{len(mean)} rows of latents, {bad} not finite, for {count} images.")
    np.save(output / "latents.npy", mean.astype(np.float32))
    np.save(output / "latents_covariance.npy", covariance.astype(np.float32))


def fresh_folder(folder: Path) -> Path:
    """The folder, with no map of an earlier call in it."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("particle_*.mrc"):
        old.unlink()
    return folder


def place_map(source: Path, target: Path, data: DataSet) -> None:
    """Copy a map with the pixel size of the images and its origin at 0; checks its box."""
    density = read_volume(source).data
    if density.shape != (data.size,) * 3:
        sys.exit(f"{source} has the box {density.shape}, the images {data.size}.")
    write_map(target, density, data)


def write_map(target: Path, density: Float[np.ndarray, "n n n"], data: DataSet) -> None:
    """Write a map with the pixel size of the images."""
    side = data.pixel_size
    write_volume(target, MrcVolume(density.astype(np.float32), (side, side, side)))


def map_name(row: int) -> str:
    """File name of the map of an image."""
    return f"particle_{row:06d}.mrc"
