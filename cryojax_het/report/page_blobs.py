"""Numbers inside an HTML page: bytes compressed by gzip, as base64 text, which a browser undoes.

A table of a hundred thousand images must load in seconds: every column takes two bytes a row.
"""

import base64
import gzip
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float, UInt8, UInt16

_NONE = 65535  # the code of a value that is missing
_LEVELS = 65534


def packed(data: bytes) -> str:
    """`data` by gzip, then base64. The same bytes always give the same text."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


def unpacked(text: str) -> bytes:
    """What `packed` was given."""
    return gzip.decompress(base64.b64decode(text))


@final
@dataclass(frozen=True, kw_only=True)
class Codes:
    """`value = offset + scale * code` of a column; the code 65535 where there is no value."""

    code: UInt16[np.ndarray, " n"]
    offset: float
    scale: float

    def values(self) -> Float[np.ndarray, " n"]:
        """The column, NaN where there is no value."""
        found = self.offset + self.scale * self.code.astype(np.float64)
        return np.where(self.code == _NONE, np.nan, found)


def column_codes(values: Float[np.ndarray, " n"]) -> Codes:
    """Whole numbers of a range below 65534 exactly; others to `range / 131068`.

    What is not finite has no value.
    """
    column = np.asarray(values, np.float64)
    there = np.isfinite(column)
    known = column[there]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    whole = bool(np.all(known == np.rint(known))) and high - low < _LEVELS
    scale = 1.0 if whole or high == low else (high - low) / _LEVELS
    code = np.full(len(column), _NONE, np.uint16)
    code[there] = np.rint((known - low) / scale).astype(np.uint16)
    return Codes(code=code, offset=low, scale=scale)


@final
@dataclass(frozen=True)
class Blobs:
    """The packed bytes of a page by name, in the order that they were put."""

    texts: dict[str, str] = field(default_factory=dict)

    def put(self, data: bytes) -> str:
        """Keep `data`; returns its name."""
        name = f"b{len(self.texts)}"
        self.texts[name] = packed(data)
        return name

    def column(self, values: Float[np.ndarray, " n"]) -> dict[str, Any]:
        """Keep a column (`column_codes`); returns what the page needs to read it."""
        codes = column_codes(values)
        name = self.put(codes.code.astype("<u2").tobytes())
        return {"blob": name, "offset": codes.offset, "scale": codes.scale}


def grey_png(image: UInt8[np.ndarray, "y x"]) -> bytes:
    """A PNG file of 8-bit greys, rows from the top."""
    height, width = image.shape
    # Before every row its filter: none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png_address(image: UInt8[np.ndarray, "y x"]) -> str:
    """The picture as an address that needs no file."""
    return "data:image/png;base64," + base64.b64encode(grey_png(image)).decode("ascii")
