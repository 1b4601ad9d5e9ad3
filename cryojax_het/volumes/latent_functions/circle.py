"""Functions on a circle, which a molecule turns around."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .base import AbstractLatentFunctions, cells, checked_order


@final
class FourierSeries(AbstractLatentFunctions):
    """`1, √2 cos πτ, √2 sin πτ, √2 cos 2πτ, ...` of a latent that is the same at -1 and 1."""

    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, order: int):
        self.order, self.count, self.latent_size = checked_order(order), 2 * order + 1, 1

    def __call__(self, latent):
        angle = math.pi * latent[0]
        pairs = [
            math.sqrt(2) * wave(p * angle)
            for p in range(1, self.order + 1)
            for wave in (jnp.cos, jnp.sin)
        ]
        return jnp.stack([jnp.ones_like(angle), *pairs])

    def orders(self):
        return (np.arange(self.count) + 1) // 2

    def nodes(self, count):
        return cells(count)[:, None]

    def difference(self, a, b):
        return (a - b + 1) % 2 - 1
