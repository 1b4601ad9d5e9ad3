"""Particle images in memory, and as one `.npz` file."""

from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Integer

from .files import replacing
from .source import AbstractImageSource, Particles, check_index, make_particles

_TEXTS = ("group_names", "warnings")


@final
class ArraySource(AbstractImageSource):
    """Images `[n, y, x]` in memory with their table.

    Raises `ValueError` where the table has another number of rows or another image size.
    """

    def __init__(self, images: Float[np.ndarray, "n y x"], particles: Particles):
        if images.shape[1] != images.shape[2] or len(images) != len(particles):
            raise ValueError(
                f"`images` must be [{len(particles)}, n, n], one per table row. Got {images.shape}."
            )
        if len(images) and np.any(particles.size != images.shape[1]):
            raise ValueError(
                f"`particles.size` is {np.unique(particles.size).tolist()}, the images have "
                f"{images.shape[1]} pixels per side."
            )
        self.images = np.ascontiguousarray(images, np.float32)
        self._particles = particles

    def __len__(self) -> int:
        return len(self.images)

    def table(self) -> Particles:
        """The table given."""
        return self._particles

    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """A copy of these images."""
        check_index(index, len(self))
        return self.images[index]


def from_arrays(
    images: Float[np.ndarray, "n y x"],
    pixel_size: float,
    rotation: Float[np.ndarray, "n 3 3"] | None = None,
    shift: Float[np.ndarray, "n 2"] | None = None,
    **optics: float | np.ndarray,
) -> ArraySource:
    """Images with pixel size (Å), poses and optics columns of `Particles` (each one value or one
    per image; none: transfer function 1)."""
    columns = {"pixel_size": pixel_size, "size": images.shape[1], **optics}
    return ArraySource(
        images, make_particles(len(images), rotation=rotation, shift=shift, **columns)
    )


def write_npz(path: Path, source: AbstractImageSource) -> None:
    """All images and the table of `source` as one uncompressed `.npz`; whole or not at all."""
    particles = source.table()
    texts = {name: np.array(getattr(particles, name), np.str_) for name in _TEXTS}
    images = source.read(np.arange(len(source)))
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, images=images, **texts, **particles.columns())


def read_npz(path: Path) -> ArraySource:
    """The source that `write_npz` wrote, or any `.npz` with `images`, `pixel_size` and columns of
    `Particles`. Raises `ValueError` naming what is missing."""
    with np.load(path, allow_pickle=False) as archive:
        held = {name: archive[name] for name in archive.files}
    missing = {"images", "pixel_size"} - held.keys()
    if missing:
        raise ValueError(f"{path} lacks {sorted(missing)}. It holds {sorted(held)}.")
    images = held.pop("images")
    columns = {n: tuple(map(str, v)) if n in _TEXTS else v for n, v in held.items()}
    unknown = columns.keys() - Particles.__dataclass_fields__.keys()
    if unknown:
        raise ValueError(f"{path} holds columns that no table has: {sorted(unknown)}.")
    columns.setdefault("size", np.asarray(images.shape[1]))
    return ArraySource(images, make_particles(len(images), **columns))
