"""Functions on a circle, which a molecule turns around."""

import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .base import AbstractLatentFunctions, cells, checked_order, even_of_normal


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

    def of_normal(self, latent):
        return even_of_normal(latent)


@final
class CircleInPlane(AbstractLatentFunctions):
    """`1, √2 cos φ, √2 sin φ, √2 cos 2φ, ...` of the direction `φ` of a latent of two coordinates.

    The mean of a belief on the circle lies within it, the nearer to the middle the less is known:
    no cut, for whatever looks at latents later.
    """

    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, order: int):
        self.order, self.count, self.latent_size = checked_order(order), 2 * order + 1, 2

    def __call__(self, latent):
        x, y = self.of_normal(latent)
        waves, cosine, sine = [jnp.ones_like(x)], x, y
        for _ in range(self.order):
            waves += [math.sqrt(2) * cosine, math.sqrt(2) * sine]
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        return jnp.stack(waves)

    def orders(self):
        return (np.arange(self.count) + 1) // 2

    def nodes(self, count):
        angle = np.pi * cells(count)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def difference(self, a, b):
        return a - b

    def of_normal(self, latent):
        square = jnp.sum(latent**2)
        somewhere = square > 0
        toward = jnp.where(somewhere, latent, jnp.asarray([1.0, 0.0], latent.dtype))
        return toward / jnp.sqrt(jnp.where(somewhere, square, 1))
