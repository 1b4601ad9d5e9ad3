"""Maps brought to another sampling of the same box, without interpolation."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from ..particles.mrc import MrcVolume

_TOLERANCE = 5e-3  # of the box: headers are rounded


def resample_box(volume: Float[np.ndarray, "n n n"], size: int) -> Float[np.ndarray, "m m m"]:
    """The same box in `size` voxels per side: its Fourier transform cropped, or padded with zeros.

    The Nyquist planes of the coarser of the two are removed: they have no partner. Raises
    `ValueError` where a size is odd.
    """
    old = len(volume)
    if volume.shape != (old,) * 3 or old % 2 or size % 2:
        raise ValueError(f"Boxes must be even cubes. Got {volume.shape} and {size}.")
    if size == old:
        return volume
    half = min(size, old) // 2
    transform = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    kept = transform[(slice(old // 2 - half + 1, old // 2 + half),) * 3]
    result = np.zeros((size,) * 3, transform.dtype)
    result[(slice(size // 2 - half + 1, size // 2 + half),) * 3] = kept
    voxels = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(result))).real
    return (voxels * (size / old) ** 3).astype(volume.dtype)


def on_grid(
    volume: MrcVolume, size: int, pixel_size: float, path: Path
) -> Float32[np.ndarray, "n n n"]:
    """The map of a file on the grid `size`, `pixel_size` (Å): resampled where its box is the same,
    cropped or padded about its centre where its voxels are.

    A header without a voxel size (0, or the 1 that some programs write) means the grid's own, for
    a map of the same box. Raises `ValueError` where the map is no even cube, or fits in neither.
    """
    data = volume.data
    if len(set(data.shape)) != 1 or data.shape[0] % 2:
        raise ValueError(f"{path} must be an even cube. Got {data.shape} voxels.")
    voxel, old = float(volume.voxel_size[0]), data.shape[0]
    if old == size and (voxel in (0.0, 1.0) or abs(voxel / pixel_size - 1) < _TOLERANCE):
        return data
    if abs(voxel * old / (pixel_size * size) - 1) < _TOLERANCE:
        return resample_box(data, size)
    if abs(voxel / pixel_size - 1) < _TOLERANCE:
        return _about_centre(data, size)
    raise ValueError(
        f"{path} has {old} voxels of {voxel:g} Å, the truth {size} of {pixel_size:g} Å: neither "
        "the box nor the voxels are the same. Resample it first."
    )


def _about_centre(data: Float32[np.ndarray, "n n n"], size: int) -> Float32[np.ndarray, "m m m"]:
    old = data.shape[0]
    if size <= old:
        first = (old - size) // 2
        return data[(slice(first, first + size),) * 3]
    first = (size - old) // 2
    return np.pad(data, [(first, size - old - first)] * 3)
