"""What a method left on disk, ours or another's: latents, labels, posteriors and maps.

A run folder, or any folder with

```
latents.npy               [n, d] or [n]: one row per image of the particle file, in its order
latents_covariance.npy    [n, d, d]     latents_samples.npy   [n, k, d]     of posteriors
labels.npy                [n]: class of each image, from 0; -1 for none
maps/                     see map_sets.py (or maps in the folder itself)
```
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .map_sets import ImageKeys, MapSet, open_map_set

_IN_RUN = {
    "latents": "latents/conformation.npy",
    "latents_covariance": "latents/conformation_covariance.npy",
    "latents_samples": "latents/conformation_samples.npy",
    "labels": "latents/labels.npy",
}


@final
@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Per-image results of a method on N images, None where it gives none, and the folder of its
    maps."""

    path: Path
    latents: Float[np.ndarray, "n d"] | None
    covariance: Float[np.ndarray, "n d d"] | None
    samples: Float[np.ndarray, "n k d"] | None
    labels: Int[np.ndarray, " n"] | None
    maps_folder: Path | None

    def maps(self, count: int, size: int, pixel_size: float) -> MapSet | None:
        """The maps on a grid, tied to `count` images; None where there are none."""
        if self.maps_folder is None:
            return None
        keys = ImageKeys(count=count, latents=self.latents, labels=self.labels)
        return open_map_set(self.maps_folder, keys, size, pixel_size)


def open_outputs(path: Path, count: int, maps: Path | None = None) -> Outputs:
    """Open a run folder or a plain one of results for `count` images.

    - `maps`: folder of the maps, where they are elsewhere.

    Raises `FileNotFoundError` where there are neither latents nor labels nor maps; `ValueError`,
    naming the file, for arrays of another number of images or another shape.
    """
    path = Path(path)
    is_run = (path / "run.json").is_file()
    arrays = {name: _load(path / (_IN_RUN[name] if is_run else f"{name}.npy")) for name in _IN_RUN}
    for name, array in arrays.items():
        if array is not None and len(array) != count:
            raise ValueError(
                f"{name} of {path} has {len(array)} rows; the data set has {count} images."
            )
    folder = maps or _maps_folder(path)
    if folder is None and arrays["latents"] is None and arrays["labels"] is None:
        raise FileNotFoundError(
            f"{path} holds nothing to score: neither a run of cryojax_het (run.json), nor "
            "latents.npy, labels.npy or maps (.mrc)."
        )
    latents, labels = arrays["latents"], arrays["labels"]
    if latents is not None and latents.ndim == 1:
        latents = latents[:, None]
    return Outputs(
        path=path,
        latents=_shaped(latents, 2, "latents", path),
        covariance=_shaped(arrays["latents_covariance"], 3, "latents_covariance", path),
        samples=_shaped(arrays["latents_samples"], 3, "latents_samples", path),
        labels=None if labels is None else labels.astype(np.int64),
        maps_folder=folder,
    )


def _load(path: Path) -> np.ndarray | None:
    if not path.is_file():
        return None
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path} is no array of numbers: {error}") from error


def _maps_folder(path: Path) -> Path | None:
    for folder in (path / "maps", path / "volumes", path):
        if any(folder.glob("*.mrc")) or any(folder.glob("*.map")):
            return folder
    return None


def _shaped(array: np.ndarray | None, axes: int, name: str, path: Path) -> np.ndarray | None:
    if array is not None and array.ndim != axes:
        raise ValueError(f"{name} of {path} must have {axes} axes. Got the shape {array.shape}.")
    return None if array is None else array.astype(np.float64)
