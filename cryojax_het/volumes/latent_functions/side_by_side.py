"""Functions of several latents that do not meet: those of each, one after the other."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .base import AbstractLatentFunctions
from .several import AbstractSeveralLatents, checked_axes


@final
class SideBySide(AbstractSeveralLatents):
    """`T(τ₁), T(τ₂), ...`, each with its own constant: for regions of a molecule of which each has
    a latent of its own. Their number grows as the sum of the axes', not as the product."""

    axes: tuple[AbstractLatentFunctions, ...]
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, axes: tuple[AbstractLatentFunctions, ...]):
        self.axes = checked_axes(axes)
        self.count = sum(axis.count for axis in axes)
        self.latent_size = sum(axis.latent_size for axis in axes)

    def __call__(self, latent):
        parts = zip(self.axes, self.parts(latent), strict=True)
        return jnp.concatenate([axis(part) for axis, part in parts])

    def orders(self):
        return np.concatenate([axis.orders() for axis in self.axes])

    def axis_of_each(self) -> np.ndarray:
        """Number of the axis that each function is of."""
        return np.repeat(np.arange(len(self.axes)), [axis.count for axis in self.axes])
