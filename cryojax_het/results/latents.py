"""Per-image estimates on disk: one memory-mapped array per quantity, one row per image.

The arrays may be larger than memory, and several processes may each write the rows they own.
"""

import os
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Integer
from numpy.lib import format as npy

from ..particles.files import replacing
from .disk import explained, sync_folder

_BLOCK = 1 << 22


@final
class LatentTable:
    """Arrays `<folder>/<name>.npy`, float32, shape `[images, ...]`; NaN where no row was written,
    unless `create` was told better.

    Names in use: `conformation`, `rotation`, `shift` (Å), `contrast`, and
    `conformation_covariance`.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def names(self) -> list[str]:
        """Quantities that the run has."""
        return sorted(path.stem for path in self.folder.glob("*.npy"))

    def create(
        self, name: str, shape: tuple[int, ...], rows: Float[np.ndarray, "..."] | float = np.nan
    ) -> None:
        """Make the array `name` of this whole shape, filled with `rows`, broadcast to it; one of
        the same shape is kept as it is.

        The room on disk is taken now: writing rows later cannot meet a full disk, where a memory
        map would die by a signal. Raises `ValueError` where another shape is there, `OSError`
        where there is no room.
        """
        path = self._path(name)
        if path.is_file():
            found = np.load(path, mmap_mode="r").shape
            if found != tuple(shape):
                raise ValueError(
                    f"{path} has the shape {found}, not {tuple(shape)}: it belongs to another run."
                )
            return
        with explained(self.folder), replacing(path) as temporary, open(temporary, "wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
            npy.write_array_header_1_0(file, header)
            values = np.broadcast_to(rows, shape)
            step = max(1, _BLOCK // max(1, int(np.prod(shape[1:]))))
            for start in range(0, shape[0], step):
                file.write(np.ascontiguousarray(values[start : start + step], "<f4").data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.folder)

    def write(
        self, name: str, index: Integer[np.ndarray, " b"], rows: Float[np.ndarray, "b ..."]
    ) -> None:
        """Set the rows `index` of `name`; flushed to the system, so that a kill keeps them.

        Raises `FileNotFoundError` before `create`, `IndexError` beyond the table.
        """
        array = self._open(name, "r+")
        if len(index) and not 0 <= index.min() <= index.max() < len(array):
            raise IndexError(
                f"`{name}` has {len(array)} rows. Got rows {index.min()} to {index.max()}."
            )
        array[index] = rows

    def read(self, name: str) -> Float[np.ndarray, "n ..."]:
        """The array `name`, memory-mapped, read-only. `FileNotFoundError` names those there are."""
        return self._open(name, "r")

    def _open(self, name: str, mode) -> np.ndarray:
        path = self._path(name)
        if not path.is_file():
            there = ", ".join(self.names()) or "none"
            raise FileNotFoundError(f"{path} does not exist. Latents of this run: {there}.")
        return np.load(path, mmap_mode=mode)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"
