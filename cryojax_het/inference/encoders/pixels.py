"""An encoder of pixels without convolutions."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from ...imaging.preparation import soft_disc
from .encoder import AbstractEncoder
from .perceptron import Perceptron, perceptron
from .prepared_image import prepared_image

_EDGE = 0.1  # of the box's half side: how softly the window ends


class PixelEncoder(AbstractEncoder):
    """A residual perceptron of the pixels of `prepared_image` inside a window, told the view.

    - `window`: radius from which the pixels fade, a share of the box's half side.

    (As cryoDRGN's encoder, whose window is 0.85 too: Zhong et al. 2021, Nat. Methods 18. That one
    is not told the view.)
    """

    head: Perceptron
    size: int = eqx.field(static=True)
    window: float = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    def encode(self, view, grid):
        pixels = prepared_image(view, grid, self.size)
        disc = _disc(self.size, self.window)
        seen = (pixels * jnp.asarray(disc, pixels.dtype)).ravel()
        return self.head.code(seen[np.flatnonzero(disc)], view.start.rotation)

    def trained(self):
        return [self.head.parameters]


def pixel_encoder(
    key: PRNGKeyArray,
    size: int,
    latent_size: int,
    window: float = 0.85,
    layers: tuple[int, int] = (256, 3),
    dtype: Any = jnp.float32,
) -> PixelEncoder:
    """One for images cropped to `size` pixels; `layers`: width and number of the hidden ones.

    Raises `ValueError` for a size that is odd or below 4, or a window that is not positive.
    """
    if size < 4 or size % 2:
        raise ValueError(f"`size` must be even, from 4. Got {size}.")
    if window <= 0:
        raise ValueError(f"`window` must be a positive share of the half side. Got {window}.")
    features = int(np.count_nonzero(_disc(size, window)))
    head = perceptron(key, features, latent_size, layers, dtype)
    return PixelEncoder(head=head, size=size, window=window, latent_size=latent_size)


def _disc(size, window):
    return soft_disc(size, window * size / 2, _EDGE * size / 2)
