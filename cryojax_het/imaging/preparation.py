"""From the pixels of a file to the transform that inference sees: one small step per class."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .grid import FourierGrid


class AbstractPreparation(eqx.Module):
    """One change to the pixels of an image."""

    @abc.abstractmethod
    def __call__(self, image: Float[Array, "n n"]) -> Float[Array, "n n"]:
        """The changed image."""


class Invert(AbstractPreparation):
    """Dark particles become bright."""

    def __call__(self, image):
        return -image


class NormaliseBackground(AbstractPreparation):
    """Mean 0 and standard deviation 1 over the pixels where `background` is 1."""

    background: Float[Array, "n n"]

    def __call__(self, image):
        count = jnp.sum(self.background)
        mean = jnp.sum(image * self.background) / count
        variance = jnp.sum(self.background * (image - mean) ** 2) / count
        # A constant background (a noiseless simulation) has no scale to divide by.
        return (image - mean) / jnp.where(variance > 0, jnp.sqrt(variance), 1.0)


class Window(AbstractPreparation):
    """Times a soft `window`; outside it the image becomes its own mean there."""

    window: Float[Array, "n n"]

    def __call__(self, image):
        outside = 1 - self.window
        mean = jnp.sum(image * outside) / jnp.maximum(jnp.sum(outside), 1e-6)
        return mean + self.window * (image - mean)


def soft_disc(size: int, radius: float, edge: float) -> Float[np.ndarray, "n n"]:
    """1 inside `radius` pixels of the centre, 0 beyond `radius + edge`, a cosine between."""
    axis = np.arange(size) - size // 2
    distance = np.hypot(axis[:, None], axis)
    fall = np.clip((distance - radius) / max(edge, 1e-9), 0, 1)
    return (0.5 + 0.5 * np.cos(np.pi * fall)).astype(np.float32)


def prepare_image(
    image: Float[Array, "n n"],
    steps: tuple[AbstractPreparation, ...],
    grid: FourierGrid,
    size: int,
) -> Complex[Array, "y x"]:
    """Transform of `image` after `steps`, Fourier-cropped to `size` pixels.

    `grid` is that of the stored pixels. The result lives on `grid.crop(size)`.
    """
    for step in steps:
        image = step(image)
    return grid.crop_transform(grid.from_image(image), size)
