"""Pictures of particle images for a page: what a low-pass filter leaves of them, in greys."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from ..particles.source import AbstractImageSource
from .page_blobs import png_address

_SIDE = 64  # pixels of a picture, at most
_FINEST = 20.0  # Å: finer detail of a single image is noise


def picture(image: Float[np.ndarray, "n n"], pixel_size: float) -> UInt8[np.ndarray, "m m"]:
    """Greys of an image without detail finer than 20 Å, from the 1st to the 99th percentile.

    - `pixel_size`: Å.
    """
    size = len(image)
    transform = np.fft.rfft2(image)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)) / pixel_size
    transform *= np.exp(-0.5 * (frequency * _FINEST / 1.5) ** 2)
    smooth = np.fft.irfft2(transform, s=image.shape)
    step = max(1, -(-size // _SIDE))
    smooth = smooth[::step, ::step]
    low, high = np.percentile(smooth, (1, 99))
    grey = np.clip((smooth - low) / (high - low or 1.0), 0, 1)
    return np.rint(255 * grey).astype(np.uint8)


def pictures(
    source: AbstractImageSource, rows: Int[np.ndarray, " m"], captions: list[str]
) -> list[dict[str, Any]]:
    """The images `rows` with their captions, as a page shows them."""
    if not len(rows):
        return []
    pixel_size = source.table().pixel_size[rows]
    return [
        {"row": int(row), "caption": caption, "png": png_address(picture(image, float(size)))}
        for row, caption, image, size in zip(
            rows, captions, source.read(rows), pixel_size, strict=True
        )
    ]
