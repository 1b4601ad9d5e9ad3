"""Maps inside an HTML page: what lies in the box around the mask, at most 64 voxels a side, 8 bits.

Maps are resampled by their Fourier transform, which also makes those of small boxes finer: that
adds no detail, but surfaces of straight lines between few voxels look as if they had facets.
"""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float, Float32, UInt8

from ..analysis.fourier_resample import resample_box
from .page_blobs import Blobs

MOST_VOXELS = 64
_MARGIN = 1  # voxels around the mask, before resampling
_FINER = 2  # times, at most, that small boxes are made finer


@final
@dataclass(frozen=True, kw_only=True)
class MapFrame:
    """Where maps are cut: the voxels `low` to `high` (z, y, x) of a box of `size`, which comes from
    one of `full` voxels of `voxel` Å."""

    full: int
    voxel: float
    size: int
    low: tuple[int, int, int]
    high: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = (high - low for low, high in zip(self.low, self.high, strict=True))
        return z, y, x

    @property
    def spacing(self) -> float:
        """Side of a voxel, Å."""
        return self.voxel * self.full / self.size

    def cut(self, volume: Float[np.ndarray, "n n n"]) -> Float[np.ndarray, "z y x"]:
        """A map in this frame. Raises `ValueError` for one of another box."""
        if volume.shape != (self.full,) * 3:
            raise ValueError(f"A map of {volume.shape} voxels is not one of {self.full} per side.")
        finer = resample_box(volume, self.size)
        return finer[tuple(slice(a, b) for a, b in zip(self.low, self.high, strict=True))]


def map_frame(mask: Float[np.ndarray, "n n n"], voxel: float, most: int = MOST_VOXELS) -> MapFrame:
    """The box around what `mask` has above 0.02, with at most `most` voxels a side.

    - `voxel`: side of a voxel, Å.
    """
    full = len(mask)
    inside = np.argwhere(mask > 0.02)
    if not len(inside):
        inside = np.array([[0, 0, 0], [full - 1] * 3])
    low = np.maximum(inside.min(axis=0) - _MARGIN, 0)
    high = np.minimum(inside.max(axis=0) + 1 + _MARGIN, full)
    widest = int((high - low).max())
    size = min(_FINER * full, 2 * int(most * full / widest / 2))
    ratio = size / full
    # The centre n // 2 stays the centre: places scale about it.
    scaled = lambda place: (place - full // 2) * ratio + size // 2
    first = np.clip(np.floor(scaled(low)), 0, size).astype(int)
    last = np.minimum(np.ceil(scaled(high)), first + most).astype(int)
    last = np.minimum(last, size)
    return MapFrame(full=full, voxel=voxel, size=size, low=_three(first), high=_three(last))


def _three(place: np.ndarray) -> tuple[int, int, int]:
    z, y, x = (int(value) for value in place)
    return z, y, x


def eight_bits(
    values: Float[np.ndarray, "z y x"],
) -> tuple[UInt8[np.ndarray, "z y x"], float, float]:
    """Codes, offset and scale with `value = offset + scale * code`, to half of `scale`."""
    low, high = float(values.min()), float(values.max())
    scale = (high - low) / 255 or 1.0
    return np.rint((values - low) / scale).astype(np.uint8), low, scale


@final
@dataclass
class MapBook:
    """The maps of a page, each kept once and known by its number."""

    frame: MapFrame
    blobs: Blobs
    entries: list[dict[str, Any]] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, volume: Float32[np.ndarray, "n n n"]) -> int:
        """Keep a map; returns its number, that of the map of this name where one is there."""
        if name not in self._numbers:
            code, offset, scale = eight_bits(self.frame.cut(volume).astype(np.float64))
            blob = self.blobs.put(code.tobytes())
            self.entries.append({"name": name, "blob": blob, "offset": offset, "scale": scale})
            self._numbers[name] = len(self.entries) - 1
        return self._numbers[name]

    def described(self, main: Float32[np.ndarray, "n n n"]) -> dict[str, Any]:
        """What the page needs to show them; the first threshold is told from the map `main`."""
        level, top = surface_levels(self.frame.cut(main))
        return {
            "shape": self.frame.shape,
            "voxel": self.frame.spacing,
            "level": level,
            "top": top,
            "entries": self.entries,
        }


def surface_levels(volume: Float[np.ndarray, "z y x"]) -> tuple[float, float]:
    """A threshold that shows a map's molecule, and the largest that is worth choosing.

    The threshold is Otsu's (1979, IEEE Trans. SMC 9), that of two groups of voxels furthest apart.
    """
    values = np.sort(volume.ravel().astype(np.float64))
    top = float(values[-1])
    count = np.arange(1, len(values))
    total = np.cumsum(values)
    below = total[:-1] / count
    above = (total[-1] - total[:-1]) / (len(values) - count)
    between = count * (len(values) - count) * (above - below) ** 2
    place = int(np.argmax(between))
    return float((values[place] + values[place + 1]) / 2), top
