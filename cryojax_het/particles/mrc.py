"""MRC files: the header, and volumes with voxel size, origin and start.

MRC2014 format (Cheng et al., J. Struct. Biol. 192 (2015) 146). The header is parsed here so that
reading pixels needs NumPy alone; modes 0 (int8), 1 (int16), 2 (float32), 6 (uint16), 12 (float16).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from .files import replacing

HEADER_BYTES = 1024
MODES = {0: np.dtype("i1"), 1: np.dtype("i2"), 2: np.dtype("f4"), 6: np.dtype("u2")}
MODES[12] = np.dtype("f2")
_LAYOUT = {  # name: (format, first byte)
    "n": ("3<i4", 0),
    "mode": ("<i4", 12),
    "start": ("3<i4", 16),
    "m": ("3<i4", 28),
    "cell": ("3<f4", 40),
    "angles": ("3<f4", 52),
    "map": ("3<i4", 64),
    "stats": ("3<f4", 76),
    "ispg": ("<i4", 88),
    "nsymbt": ("<i4", 92),
    "exttyp": ("S4", 104),
    "version": ("<i4", 108),
    "origin": ("3<f4", 196),
    "id": ("S4", 208),
    "stamp": ("4u1", 212),
    "rms": ("<f4", 216),
    "labels": ("<i4", 220),
}
_FIELDS = np.dtype(
    {
        "names": list(_LAYOUT),
        "formats": [kind for kind, _ in _LAYOUT.values()],
        "offsets": [first for _, first in _LAYOUT.values()],
        "itemsize": HEADER_BYTES,
    }
)


@final
@dataclass(frozen=True)
class MrcHeader:
    """What the header of `path` says of a file of `stored_bytes` bytes.

    - `shape`: sections, rows, columns as stored; `dtype` with the file's byte order.
    - `offset`: bytes before the pixels, extended header included.
    - `voxel_size`: Å along columns, rows, sections' axes (x, y, z); 0 where the header has none.
    - `axes`: which of x, y, z (1, 2, 3) columns, rows and sections run along.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float]
    start: tuple[int, int, int]
    axes: tuple[int, int, int]
    stored_bytes: int

    @property
    def image_bytes(self) -> int:
        """Bytes of one section."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def stored(self) -> int:
        """Whole sections that the file really holds, whatever the header claims."""
        return max(0, self.stored_bytes - self.offset) // max(1, self.image_bytes)


def read_header(path: Path) -> MrcHeader:
    """Header of an MRC file of either byte order.

    Raises `ValueError` where the file is no MRC file or has a mode that is not read here.
    """
    with open(path, "rb") as file:
        raw = file.read(HEADER_BYTES)
        stored_bytes = os.fstat(file.fileno()).st_size
    if len(raw) < HEADER_BYTES:
        raise ValueError(f"{path} is no MRC file: {len(raw)} bytes, a header alone has 1024.")
    for order in ("<", ">"):
        head = np.frombuffer(raw, _FIELDS.newbyteorder(order))[0]
        if _plausible(head):
            return _parse(path, head, order, stored_bytes)
    little = np.frombuffer(raw, _FIELDS)[0]
    raise ValueError(
        f"{path} is no MRC file of a known mode: mode {little['mode']}, {little['n'].tolist()} "
        f"columns, rows, sections. Modes read: {sorted(MODES)}."
    )


def _plausible(head) -> bool:
    # The machine stamp is often wrong or missing; a size or mode read in the wrong byte order is
    # a multiple of 2^16 or more, so the numbers themselves tell the order.
    return (
        int(head["mode"]) in MODES
        and bool(np.all(head["n"] > 0) and np.all(head["n"][:2] < 2**20))
        and 0 <= int(head["nsymbt"]) < 2**28
    )


def _parse(path: Path, head, order: str, stored_bytes: int) -> MrcHeader:
    columns, rows, sections = (int(n) for n in head["n"])
    counts = np.where(head["m"] > 0, head["m"], 1)
    axes = _three(head["map"])
    return MrcHeader(
        path=path,
        shape=(sections, rows, columns),
        dtype=MODES[int(head["mode"])].newbyteorder(order),
        offset=HEADER_BYTES + int(head["nsymbt"]),
        voxel_size=_three(head["cell"].astype(np.float64) / counts),
        origin=_three(head["origin"].astype(np.float64)),
        start=_three(head["start"]),
        axes=axes if sorted(axes) == [1, 2, 3] else (1, 2, 3),
        stored_bytes=stored_bytes,
    )


def _three(values: np.ndarray) -> tuple[Any, Any, Any]:
    x, y, z = values.tolist()
    return x, y, z


def make_header(
    shape: tuple[int, int, int],
    dtype: np.dtype,
    voxel_size: tuple[float, float, float],
    statistics: tuple[float, float, float, float],
    space_group: int,
) -> np.ndarray:
    """A little-endian MRC2014 header, one record; `statistics` are minimum, maximum, mean, rms.

    `space_group` is 0 for a stack of images, 1 for a volume. Change the record's `origin` and
    `start` as needed, then write `record.tobytes()`.
    """
    mode = next(m for m, kind in MODES.items() if kind == np.dtype(dtype).newbyteorder("="))
    head = np.zeros((), _FIELDS)
    head["n"] = shape[::-1]
    head["m"] = (shape[2], shape[1], shape[0] if space_group else 1)
    head["cell"] = head["m"] * np.array(voxel_size)
    head["mode"], head["angles"], head["map"] = mode, 90.0, (1, 2, 3)
    head["stats"], head["rms"] = statistics[:3], statistics[3]
    head["ispg"], head["id"], head["version"] = space_group, b"MAP ", 20140
    head["stamp"] = (0x44, 0x44, 0, 0)
    return head


@final
@dataclass(frozen=True)
class MrcVolume:
    """A density `[z, y, x]` with its place in space.

    - `voxel_size` Å along (x, y, z), 0 where the file has none;
    - `origin` Å of the first voxel (x, y, z); `start` (nxstart, nystart, nzstart), voxels.
    """

    data: Float32[np.ndarray, "z y x"]
    voxel_size: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    start: tuple[int, int, int] = (0, 0, 0)


def read_volume(path: Path) -> MrcVolume:
    """A volume of any mode, byte order and axis order, as float32 `[z, y, x]`.

    Raises `ValueError` where the file is shorter than its header says or holds non-finite voxels.
    """
    header = read_header(path)
    if header.stored < header.shape[0]:
        raise ValueError(
            f"{path} is truncated: its header says {header.shape[0]} sections, the file holds "
            f"{header.stored}. Copy it again."
        )
    count = int(np.prod(header.shape))
    raw = np.fromfile(path, header.dtype, count, offset=header.offset).reshape(header.shape)
    columns, rows, sections = header.axes
    place = [{sections: 0, rows: 1, columns: 2}[axis] for axis in (3, 2, 1)]
    data = np.ascontiguousarray(raw.transpose(place), np.float32)
    if not np.isfinite(data).all():
        raise ValueError(f"{path} holds voxels that are not finite numbers.")
    start = [header.start[(columns, rows, sections).index(axis)] for axis in (1, 2, 3)]
    return MrcVolume(data, header.voxel_size, header.origin, (start[0], start[1], start[2]))


def write_volume(path: Path, volume: MrcVolume) -> None:
    """Write `volume` as float32; whole or not at all. Parent folders are not made."""
    data = np.ascontiguousarray(volume.data, "<f4")
    statistics = (float(data.min()), float(data.max()), float(data.mean()), float(data.std()))
    head = make_header(volume.data.shape, np.dtype("f4"), volume.voxel_size, statistics, 1)
    head["origin"], head["start"] = volume.origin, volume.start
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(head.tobytes())
        file.write(data.data)


def cubic_voxel_size(volume: MrcVolume, path: Path) -> float:
    """The one voxel size (Å) of a cubic grid. `ValueError` where axes differ or it is absent."""
    sizes = np.array(volume.voxel_size)
    if sizes.min() <= 0:
        raise ValueError(f"{path} has no voxel size in its header: give it by `--pixel-size`.")
    if np.ptp(sizes) > 1e-3 * sizes.max():
        raise ValueError(f"{path} has unequal voxel sizes {sizes.tolist()} Å: resample it first.")
    return float(sizes.mean())
