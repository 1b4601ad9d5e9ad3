"""Images of several optics groups brought to one box and one pixel size."""

from dataclasses import replace
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Integer

from .source import AbstractImageSource, Particles, check_index


@final
class Resampled(AbstractImageSource):
    """Every image of `source` as `size` pixels of `pixel_size` Å (even `size`).

    An image of `n` pixels of `a` Å is first padded or cropped about its centre to the even `m` for
    which the box length `m a` is nearest `size · pixel_size`, then cropped or padded in Fourier
    space to `size` pixels, which are now `a' = a m / size` Å. What is left of the difference,
    `s = pixel_size / a'` (within `1/m` of 1), goes into the table, so that the image model on the
    common grid is exact: frequency `k` of the grid is truly `s k`, lengths on the grid are `s`
    times the true ones, and a transform that sums pixels of `pixel_size²` is `s²` too large:

        magnification = s M,   shift = s · shift,   scale = s² · scale

    Padding takes the mean of the image's border. `native_shift` undoes the second equation.

    Raises `ValueError` for an odd `size`, one below 4, or images of unknown size.
    """

    def __init__(self, source: AbstractImageSource, size: int, pixel_size: float):
        if size < 4 or size % 2:
            raise ValueError(f"`size` must be an even number of pixels from 4. Got {size}.")
        if pixel_size <= 0:
            raise ValueError(f"`pixel_size` must be positive. Got {pixel_size}.")
        self.source = source
        self.size = size
        self.pixel_size = float(pixel_size)
        self._native = source.table()
        if np.any(self._native.size == 0):
            raise ValueError("The image size is not known for all rows: give the stacks.")
        length = size * pixel_size / self._native.pixel_size
        self._padded = np.maximum(4, 2 * np.rint(length / 2)).astype(np.int64)
        # Where size and pixel size fit exactly nothing is left over, not even a rounding error.
        scale = self.pixel_size * size / (self._native.pixel_size * self._padded)
        self._scale = np.where(np.abs(scale - 1) < 1e-9, 1.0, scale)

    def __len__(self) -> int:
        return len(self.source)

    def table(self) -> Particles:
        """The source's table on the common grid."""
        native, s = self._native, self._scale
        count = len(native)
        return replace(
            native,
            magnification=native.magnification * s[:, None, None],
            shift=None if native.shift is None else native.shift * s[:, None],
            scale=native.scale * s**2,
            size=np.full(count, self.size, np.int64),
            pixel_size=np.full(count, self.pixel_size),
        )

    def native_shift(
        self, rows: Integer[np.ndarray, " m"], shift: Float[np.ndarray, "m 2"]
    ) -> Float[np.ndarray, "m 2"]:
        """Shifts (Å) of these rows on the common grid as the original file has them."""
        return shift / self._scale[rows][:, None]

    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """Images `index`, resampled; sources of several sizes are read size by size."""
        check_index(index, len(self))
        images = np.empty((len(index), self.size, self.size), np.float32)
        kinds = np.stack([self._native.size[index], self._padded[index]], axis=1)
        for kind in np.unique(kinds, axis=0):
            rows = np.flatnonzero((kinds == kind).all(axis=1))
            native = self.source.read(index[rows])
            images[rows] = fourier_resize(pad_or_crop(native, int(kind[1])), self.size)
        return images


def pad_or_crop(images: Float32[np.ndarray, "b n n"], size: int) -> Float32[np.ndarray, "b m m"]:
    """Images with `size` pixels per side, the centre `n // 2` staying the centre; new pixels are
    the mean of the image's border."""
    old = images.shape[1]
    if size == old:
        return images
    start = size // 2 - old // 2
    if size < old:
        return images[:, -start : size - start, -start : size - start]
    border = images.sum(axis=(1, 2)) - images[:, 1:-1, 1:-1].sum(axis=(1, 2))
    fill = border / (old**2 - max(0, old - 2) ** 2)
    padded = np.empty((len(images), size, size), np.float32)
    padded[:] = fill[:, None, None]
    padded[:, start : start + old, start : start + old] = images
    return padded


def fourier_resize(images: Float32[np.ndarray, "b n n"], size: int) -> Float32[np.ndarray, "b m m"]:
    """The same box with `size` pixels per side (both even): frequencies dropped, or zeros added.

    Values stay those of the band-limited function at the new pixels. Frequencies at the smaller
    grid's Nyquist, of which real pixels hold one sign only, are zero.
    """
    from scipy import fft

    old = images.shape[1]
    if old % 2 or size % 2 or min(old, size) < 4:
        raise ValueError(f"Both sizes must be even and at least 4. Got {old} and {size}.")
    if size == old:
        return images
    half = min(old, size) // 2
    transform = np.asarray(fft.rfft2(np.asarray(images, np.float32)))
    resized = np.zeros((len(images), size, size // 2 + 1), np.complex64)
    resized[:, :half, :half] = transform[:, :half, :half]
    resized[:, 1 - half :, :half] = transform[:, 1 - half :, :half]
    resized *= np.float32((size / old) ** 2)
    return np.asarray(fft.irfft2(resized, s=(size, size)))
