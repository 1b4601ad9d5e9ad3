"""What a reconstruction knows of its images before any device is touched."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float, Integer

from ..particles.mrc import read_header
from ..particles.resample import Resampled
from ..particles.source import AbstractImageSource, Particles, assign_halves

if TYPE_CHECKING:
    from .image_settings import ImageSettings

LOG = logging.getLogger("cryojax_het")
BATCH_MEMORY = (
    16e6  # bytes of pixels in one batch; laying them down takes some fifteen times as much
)


@final
@dataclass(frozen=True)
class Data:
    """The images on one grid, `stored` pixels of `pixel_size` Å, cropped to `size` pixels."""

    source: AbstractImageSource
    particles: Particles
    stored: int
    pixel_size: float
    size: int

    def batch_size(self, wanted: int | None, devices: int) -> int:
        """Images per batch: a multiple of the number of devices."""
        fitting = int(np.clip(BATCH_MEMORY / (4 * self.stored**2), 8, 256))
        size = wanted or min(fitting, max(8, len(self.particles) // 4))
        return -(-size // devices) * devices

    def native_shift(
        self, rows: Integer[np.ndarray, " m"], shift: Float[np.ndarray, "m 2"]
    ) -> Float[np.ndarray, "m 2"]:
        """Shifts (Å) of the images as they are stored on disk."""
        if isinstance(self.source, Resampled):
            return self.source.native_shift(rows, shift)
        return shift

    def native_pixel_size(self) -> Float[np.ndarray, " n"]:
        """Å per pixel of the images as they are stored on disk."""
        if isinstance(self.source, Resampled):
            return self.source.source.table().pixel_size
        return self.particles.pixel_size


def load_data(config: "ImageSettings") -> Data:
    """Opens the particle file and brings all images to one even grid."""
    source = config.source()
    particles = source.table()
    for warning in particles.warnings:
        LOG.warning("%s: %s", config.particles, warning)
    if particles.rotation is None:
        raise ValueError(
            f"{config.particles} has no poses: refine the particles first, or give `--poses`."
        )
    source = _on_one_grid(source, particles, config)
    particles = assign_halves(source.table(), config.seed)
    if min(np.sum(particles.half == 1), np.sum(particles.half == 2)) == 0:
        raise ValueError(
            f"{config.particles}: one half-set is empty ({np.sum(particles.half == 1)} and "
            f"{np.sum(particles.half == 2)} images). Remove the column of half-sets, or add images."
        )
    stored = int(particles.size[0])
    size = config.box or stored
    if size % 2 or not 8 <= size <= stored:
        raise ValueError(
            f"`--box` must be even, from 8 to the images' {stored} pixels. Got {size}."
        )
    if config.mask is not None:
        _check_mask(config.mask, size)
    return Data(source, particles, stored, float(particles.pixel_size[0]), size)


def _check_mask(mask: Path, size: int) -> None:
    """Before hours of work, not after them."""
    shape = read_header(mask).shape
    if shape != (size,) * 3:
        raise ValueError(f"{mask} has {shape} voxels, the map {(size,) * 3}: resample the mask.")


def _on_one_grid(
    source: AbstractImageSource, particles: Particles, config: "ImageSettings"
) -> AbstractImageSource:
    """`source` itself where all images share an even box and a pixel size, else resampled."""
    if np.any(particles.size == 0):
        raise ValueError(f"{config.particles}: image sizes are unknown: the stacks are missing.")
    sizes, pixels = np.unique(particles.size), np.unique(particles.pixel_size)
    wanted = config.pixel_size_out
    if len(sizes) == len(pixels) == 1 and sizes[0] % 2 == 0 and wanted in (None, pixels[0]):
        return source
    pixel_size = wanted or float(pixels.min())
    length = float(np.max(particles.size * particles.pixel_size))
    size = 2 * round(length / pixel_size / 2)
    LOG.info(
        "Images of %s pixels of %s Å are brought to %d pixels of %g Å.",
        "/".join(map(str, sizes)),
        "/".join(f"{p:g}" for p in pixels),
        size,
        pixel_size,
    )
    return Resampled(source, size, pixel_size)
