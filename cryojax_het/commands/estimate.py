"""What a reconstruction needs of memory, time and disk, told before it starts.

For N images of m pixels per side, reconstructed at n, on d CPU devices (those that
`reconstruct` would choose), with batches of B images:

- memory = program + 2 · d · (two half-sets' tables of 12 (p n)² (p n / 2) bytes; twice, in the
  solution) + 8 · 4 B m² (batches read, on the device, and their transforms) + 90 n³ (FSC, mask);
- seconds = N (a m² log₂ m + b n²) / d + c n³, constants measured on one CPU core;
- disk = maps 16 n³, latents 52 N bytes, two checkpoints of the tables.

Peaks measured at n = 64, 128, 256: 0.6, 1.3, 3.0 GB, where the formula says 0.7, 1.2, 3.3.
"""

import os
from dataclasses import dataclass
from typing import final

from .reconstruct_data import BATCH_MEMORY, PADDING, TABLE_MEMORY

_PROGRAM = 0.6e9  # bytes: Python, jax, compiled code
_TRANSFORM_SECONDS = 1.2e-8  # per pixel and octave: read, Fourier transform
_INSERT_SECONDS = 1.2e-7  # per pixel kept: CTF, insertion into the table
_SOLVE_SECONDS = 1.2e-6  # per voxel: maps, mask, FSC


@final
@dataclass(frozen=True)
class Need:
    """What a reconstruction takes: bytes of memory and disk, seconds per pass, CPU devices."""

    memory: float
    seconds: float
    disk: float
    devices: int


def reconstruction_need(count: int, stored: int, size: int) -> Need:
    """For `count` images of `stored` pixels per side, reconstructed at `size`."""
    cores = len(os.sched_getaffinity(0))
    side = PADDING * size + 5
    tables = 2 * 12 * side**2 * (side / 2 + 3)
    devices = int(min(max(TABLE_MEMORY // tables, 1), cores))
    octaves = max(stored, 2).bit_length()
    work = _TRANSFORM_SECONDS * stored**2 * octaves + _INSERT_SECONDS * size**2
    batches = 8 * min(BATCH_MEMORY, 4 * 256 * stored**2)
    return Need(
        memory=_PROGRAM + 2 * devices * tables + batches + 90 * size**3,
        seconds=count * work / devices + _SOLVE_SECONDS * size**3,
        disk=16 * size**3 + 52 * count + 2 * tables,
        devices=devices,
    )
