"""The interface of networks that read an image's conformation off it."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Complex, Float

from ...imaging.grid import FourierGrid
from ...imaging.image import Latents
from ...imaging.noise import AbstractGaussianNoise
from ...imaging.optics import Optics


class View(eqx.Module):
    """One image and what is known about it: its noise, and where its latents start."""

    image: Complex[Array, "y x"]
    start: Latents
    optics: Optics
    noise: AbstractGaussianNoise


class Code(NamedTuple):
    """A normal belief with independent coordinates: its mean and the logarithm of its widths."""

    mean: Float[Array, " d"]
    log_width: Float[Array, " d"]


class AbstractEncoder(eqx.Module):
    """A differentiable function of one image; batch with `jax.vmap`."""

    latent_size: AbstractVar[int]

    @abc.abstractmethod
    def encode(self, view: View, grid: FourierGrid) -> Code:
        """What the image says of the conformation, at the pose where its latents start."""

    @abc.abstractmethod
    def trained(self) -> list[Any]:
        """The arrays, or trees of them, that training moves."""
