"""What a reconstruction needs of memory, time and disk, told before it starts.

For N images of m pixels per side, reconstructed at n, on d CPU devices, by the method that
`reconstruct` would choose (`reconstruct_method.py` has the bytes of its tables):

- memory = program + (d - 1) · tables + solution + 15 · 4 B m² (a batch of B images and its taps)
  + 60 n³ (FSC, mask);
- seconds = N (a m² log₂ m + b n²) / d + c n³, constants measured on one CPU core;
- disk = maps 16 n³, latents 52 N bytes, two checkpoints of the tables.
"""

from dataclasses import dataclass
from typing import final

from .reconstruct_data import BATCH_MEMORY
from .reconstruct_method import affordable_devices, choose_method, solving_bytes, table_bytes

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
    method = choose_method("auto", size)
    devices = affordable_devices(method, size)
    tables = table_bytes(method, size)
    octaves = max(stored, 2).bit_length()
    work = _TRANSFORM_SECONDS * stored**2 * octaves + _INSERT_SECONDS * size**2
    batches = 15 * min(BATCH_MEMORY, 4 * 256 * stored**2)
    return Need(
        memory=_PROGRAM
        + (devices - 1) * tables
        + solving_bytes(method, size)
        + batches
        + 60 * size**3,
        seconds=count * work / devices + _SOLVE_SECONDS * size**3,
        disk=16 * size**3 + 52 * count + 2 * tables,
        devices=devices,
    )
