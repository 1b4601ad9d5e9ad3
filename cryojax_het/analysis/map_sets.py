"""The maps of a method in a folder, on one grid, and which of them each image has.

Names tell what a map is:

- `particle_000123.mrc`: the map of image row 123, counted from 0;
- `latent_000.mrc`, `vol_000.mrc`, `center_000.mrc`, `map_000.mrc` with a file of their latents
  beside them (`latents.npy`, or cryoDRGN's `z_values.txt`), one row per map in the order of their
  numbers: an image has the map that is nearest to its own latent;
- any of these, `class_000.mrc` or `state_000.mrc`, and a label per image: the map of its label;
- `mean.mrc`, or one single map of any name: all images have it.

The first kind in this order that a folder holds is taken.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Int

from ..particles.mrc import read_volume
from .fourier_resample import on_grid
from .selections import of_rows

_KINDS = ("particle", "latent", "vol", "center", "map", "class", "state")
_NUMBERED = re.compile(rf"({'|'.join(_KINDS)})_?(\d+)\.(?:mrc|map)")


@final
@dataclass(frozen=True, kw_only=True)
class MapSet:
    """M maps on disk, read one at a time onto the grid `size`, `pixel_size` (Å).

    - `of_image`: number of the map of every image, -1 for an image that has none.
    """

    paths: Sequence[Path]
    of_image: Int[np.ndarray, " n"]
    size: int
    pixel_size: float

    def __len__(self) -> int:
        return len(self.paths)

    def map(self, number: int) -> Float32[np.ndarray, "n n n"]:
        """One map. Raises `ValueError` where it does not fit the grid."""
        path = self.paths[number]
        return on_grid(read_volume(path), self.size, self.pixel_size, path)

    def rows(self) -> Int[np.ndarray, " m"]:
        """Images that have a map."""
        return np.flatnonzero(self.of_image >= 0)

    def among(self, rows: Int[np.ndarray, " r"]) -> "MapSet":
        """The same where no other images than `rows` have a map. Raises `ValueError` where a row is
        none of an image, or none of them has a map."""
        of_image = np.where(of_rows(rows, len(self.of_image)), self.of_image, -1)
        if np.all(of_image < 0):
            raise ValueError(f"None of {len(rows)} rows has a map in {self.paths[0].parent}.")
        return replace(self, of_image=of_image)


@final
@dataclass(frozen=True, kw_only=True)
class ImageKeys:
    """What may tie images to maps: their number, their latents, their labels."""

    count: int
    latents: Float[np.ndarray, "n d"] | None = None
    labels: Int[np.ndarray, " n"] | None = None


def open_map_set(folder: Path, images: ImageKeys, size: int, pixel_size: float) -> MapSet:
    """The maps of a folder. Raises `FileNotFoundError` where it holds none, `ValueError` where
    nothing ties them to images, each with the layouts that are known."""
    kind, paths = _of_first_kind(Path(folder))
    if kind == "particle":
        of_image = _by_row(paths, images.count)
    elif len(paths) == 1:
        of_image = np.zeros(images.count, np.int64)
    elif (points := _map_latents(Path(folder))) is not None:
        of_image = _by_latent(points, images.latents, len(paths), folder)
    else:
        of_image = _by_label(images.labels, len(paths), folder)
    return MapSet(paths=paths, of_image=of_image, size=size, pixel_size=pixel_size)


def _of_first_kind(folder: Path) -> tuple[str, list[Path]]:
    """The first kind of `_KINDS` that is there and its maps by number; else the only map."""
    there = [*folder.glob("*.mrc"), *folder.glob("*.map")]
    for kind in _KINDS:
        paths = [path for path in there if _number(path)[0] == kind]
        if paths:
            return kind, sorted(paths, key=_number)
    means = [path for path in there if path.stem == "mean"]
    if len(means) == 1 or len(there) == 1:
        return "mean", means or there
    if there:
        names = ", ".join(sorted(path.name for path in there)[:3])
        raise ValueError(
            f"No name of the maps of {folder} ({names}, ...) tells what they are: use "
            "particle_000123.mrc, latent_000.mrc, class_000.mrc or mean.mrc."
        )
    raise FileNotFoundError(f"{folder} holds no maps (.mrc, .map).")


def _number(path: Path) -> tuple[str, int]:
    found = _NUMBERED.fullmatch(path.name)
    return (found[1], int(found[2])) if found else ("", -1)


def _by_row(paths: Sequence[Path], count: int) -> Int[np.ndarray, " n"]:
    of_image = np.full(count, -1, np.int64)
    for number, path in enumerate(paths):
        row = _number(path)[1]
        if not 0 <= row < count:
            raise ValueError(
                f"{path} is of image row {row}; the data set has rows 0 to {count - 1}."
            )
        of_image[row] = number
    return of_image


def _map_latents(folder: Path) -> Float[np.ndarray, "m d"] | None:
    if (folder / "latents.npy").is_file():
        points = np.load(folder / "latents.npy")
    elif (folder / "z_values.txt").is_file():
        points = np.loadtxt(folder / "z_values.txt", ndmin=2)
    else:
        return None
    return np.asarray(points if points.ndim == 2 else points[:, None], np.float64)


def _by_latent(
    points: Float[np.ndarray, "m d"],
    latents: Float[np.ndarray, "n e"] | None,
    maps: int,
    folder: Path,
) -> Int[np.ndarray, " n"]:
    from scipy.spatial import KDTree

    if len(points) != maps:
        raise ValueError(f"{folder} holds {maps} maps and latents of {len(points)}.")
    if latents is None or latents.shape[1] != points.shape[1]:
        held = "none" if latents is None else f"{latents.shape[1]} per image"
        raise ValueError(
            f"{folder} tells its maps' latents ({points.shape[1]} each): those of the images are "
            f"needed to tie them ({held} found)."
        )
    return np.asarray(KDTree(points).query(latents)[1], np.int64)


def _by_label(
    labels: Int[np.ndarray, " n"] | None, maps: int, folder: Path
) -> Int[np.ndarray, " n"]:
    if labels is None:
        raise ValueError(
            f"Nothing ties the {maps} maps of {folder} to images: name them particle_000123.mrc "
            "by image row, or put their latents beside them (latents.npy, one row per map), or "
            "give a label per image (labels.npy)."
        )
    if labels.min() < -1 or labels.max() >= maps:
        raise ValueError(
            f"Labels must be from 0 to {maps - 1}, the maps of {folder}, or -1 for none. "
            f"Got {labels.min()} to {labels.max()}."
        )
    return labels.astype(np.int64)
