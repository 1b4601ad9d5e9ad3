"""What a reconstruction needs of memory, time and disk, told before it starts.

For N images of m pixels per side, reconstructed at n, on d CPU devices (those that
`reconstruct` would choose), with batches of B images:

- memory = program + d · (two half-sets' tables of 12 (p n)² (p n / 2) bytes) + 8 · 4 B m² (batches
  read, on the device, and their transforms) + 60 n³ (FSC and mask at the end), p = 1.25;
- seconds = N (a m² log₂ m + b n²) / cores, with a and b measured on one core of a 2020s server;
- disk = maps 4 · 4 n³, latents 52 N bytes, two checkpoints of the tables.
"""

import os
from dataclasses import dataclass
from typing import final

from .reconstruct_data import BATCH_MEMORY, PADDING, TABLE_MEMORY

_PROGRAM = 0.6e9  # bytes: Python, jax, compiled code
_TRANSFORM_SECONDS = 1.2e-8  # per pixel and octave: read, Fourier transform
_INSERT_SECONDS = 1.2e-7  # per pixel kept: CTF, insertion into the table


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
    return Need(
        memory=_PROGRAM + devices * tables + 8 * min(BATCH_MEMORY, 1024 * stored**2) + 60 * size**3,
        seconds=count * work / devices,
        disk=16 * size**3 + 52 * count + 2 * tables,
        devices=devices,
    )
