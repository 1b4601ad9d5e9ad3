"""Pixels of many MRC files read by `preadv` straight into one batch.

Neighbouring images are coalesced into one system call that scatters into the batch, and the calls
are shared between threads, each file opened once per share. Offsets are 64-bit.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Integer

from .mrc import MrcHeader

# One call moves at most this much, so that a long run still spreads over threads, and at most
# IOV_MAX (1,024 on Linux) images.
_CALL_BYTES = 4 << 20
_CALL_IMAGES = 1024
# A smaller share costs more in its thread than it saves.
_SHARE_BYTES = 1 << 20


class Run(NamedTuple):
    """Consecutive images of one file, from 0-based `first`, and where in the batch each goes."""

    header: MrcHeader
    first: int
    places: Integer[np.ndarray, " r"]


def run_bounds(
    files: Int[np.ndarray, " b"], images: Int[np.ndarray, " b"], size: int
) -> list[tuple[int, int]]:
    """Bounds of stretches of consecutive images of one file in sorted rows, none longer than one
    call should be for images of `size` pixels."""
    breaks = np.flatnonzero((np.diff(files) != 0) | (np.diff(images) != 1)) + 1
    bounds = np.concatenate([[0], breaks, [len(files)]]).tolist()
    longest = max(1, min(_CALL_IMAGES, _CALL_BYTES // (4 * size * size)))
    return [
        (start, min(start + longest, stop))
        for first, stop in pairwise(bounds)
        for start in range(first, stop, longest)
    ]


def read_runs(runs: list[Run], batch: Float32[np.ndarray, "b n n"], threads: int) -> list[int]:
    """Fill `batch` from the runs; places whose pixels do not add up to a finite number, sorted.

    Raises `ValueError` for an image beyond those that its file holds.
    """
    count = max(1, min(threads, len(runs), batch.nbytes // _SHARE_BYTES))
    shares = [[runs[i] for i in part] for part in np.array_split(np.arange(len(runs)), count)]
    if count == 1:
        found = [_read_share(shares[0], batch)]
    else:
        with ThreadPoolExecutor(count) as pool:
            found = list(pool.map(lambda share: _read_share(share, batch), shares))
    return sorted(place for part in found for place in part)


def _read_share(runs: list[Run], batch: np.ndarray) -> list[int]:
    suspects = []
    for path, group in groupby(runs, key=lambda run: run.header.path):
        with open(path, "rb", buffering=0) as file:
            for run in group:
                _read_run(file.fileno(), run, batch)
                suspects += _not_finite(run.places, batch)
    return suspects


def _not_finite(places: np.ndarray, batch: np.ndarray) -> list[int]:
    # One sum per image, right after it was read and is still in the cache, finds a NaN. A sum may
    # also overflow, so those found are only suspects.
    with np.errstate(over="ignore", invalid="ignore"):
        return [place for place in places.tolist() if not np.isfinite(batch[place].sum())]


def _read_run(descriptor: int, run: Run, batch: np.ndarray) -> None:
    header, first, places = run
    if first + len(places) > header.stored:
        raise ValueError(
            f"Image {max(first, header.stored) + 1} of {header.path} was asked for, but the file "
            f"holds {header.stored} images (its header counts {header.shape[0]}): it is truncated, "
            "or the table belongs to another stack."
        )
    native = header.dtype.newbyteorder("=") == np.float32
    if native:
        rows = [batch[place] for place in places]
    else:
        rows = list(np.empty((len(places), *batch.shape[1:]), header.dtype))
    _fill(descriptor, rows, header.offset + first * header.image_bytes, header.path)
    if not native:
        for place, row in zip(places, rows, strict=True):
            batch[place] = row
    elif not header.dtype.isnative:
        for row in rows:
            row.byteswap(inplace=True)


def _fill(descriptor: int, rows: list[np.ndarray], offset: int, path: Path) -> None:
    """Fill the rows from `offset`; a call may give fewer bytes than asked: go on from there."""
    views = [row.reshape(-1).view(np.uint8).data for row in rows]
    while views:
        count = os.preadv(descriptor, views, offset)
        if count == 0:
            raise ValueError(f"{path} ended early at byte {offset}: it changed while being read.")
        offset += count
        while views and count >= len(views[0]):
            count -= len(views[0])
            views.pop(0)
        if count:
            views[0] = views[0][count:]
