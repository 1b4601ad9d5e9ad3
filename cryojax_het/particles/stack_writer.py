"""Writing an image stack piece by piece, so that it may be larger than memory."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import final

import numpy as np
from jaxtyping import Float

from .files import replacing
from .mrc import HEADER_BYTES, make_header


@final
class StackWriter:
    """An MRC stack written under a temporary name; the header, then the name, come last.

        with StackWriter(path, size, pixel_size) as stack:
            stack.append(images)

    An error inside the `with` leaves no file. `dtype` float32 (mode 2) or float16 (mode 12);
    `pixel_size` in Å. Raises `ValueError` for images of another size or not finite.
    """

    def __init__(self, path: Path, size: int, pixel_size: float, dtype: type = np.float32):
        self.path = Path(path)
        self.size = size
        self.pixel_size = pixel_size
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.count = 0
        self._exit = ExitStack()
        self._extremes = [np.inf, -np.inf]
        self._sums = np.zeros(2)

    def __enter__(self) -> "StackWriter":
        self._temporary = self._exit.enter_context(replacing(self.path))
        self._file = open(self._temporary, "wb")
        self._file.write(bytes(HEADER_BYTES))
        return self

    def append(self, images: Float[np.ndarray, "b n n"]) -> None:
        """Write images `[b, y, x]` after those already written."""
        if images.shape[1:] != (self.size, self.size):
            raise ValueError(
                f"{self.path} takes images of {self.size} pixels. Got the shape {images.shape}."
            )
        if not len(images):
            return
        stored = np.ascontiguousarray(images, self.dtype)
        sums = np.array([stored.sum(dtype=np.float64), np.square(stored, dtype=np.float64).sum()])
        if not np.isfinite(sums).all():
            raise ValueError(f"Images to be written to {self.path} hold values not finite.")
        self._file.write(stored.data)
        low, high = float(stored.min()), float(stored.max())
        self._extremes = [min(self._extremes[0], low), max(self._extremes[1], high)]
        self._sums += sums
        self.count += len(stored)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header().tobytes())
        self._exit.__exit__(kind, error, trace)

    def _header(self) -> np.ndarray:
        mean, square = self._sums / max(1, self.count * self.size**2)
        low, high = self._extremes if self.count else (0.0, 0.0)
        rms = float(np.sqrt(max(0.0, square - mean**2)))
        voxel = (self.pixel_size, self.pixel_size, self.pixel_size)
        shape = (self.count, self.size, self.size)
        return make_header(shape, self.dtype, voxel, (low, high, float(mean), rms), 0)
