"""Functions on a circle, which a molecule turns around."""

import abc
import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .base import AbstractLatentFunctions, cells, checked_order, even_of_normal


class AbstractCircleFunctions(AbstractLatentFunctions):
    """`1, √2 cos φ, √2 sin φ, √2 cos 2φ, ...` of a direction `φ`; `order`: of the last pair."""

    order: eqx.AbstractVar[int]

    @abc.abstractmethod
    def direction(self, latent: Float[Array, " d"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """`cos φ` and `sin φ`."""

    def __call__(self, latent):
        x, y = self.direction(latent)
        waves, cosine, sine = [jnp.ones_like(x)], x, y
        for _ in range(self.order):
            waves += [math.sqrt(2) * cosine, math.sqrt(2) * sine]
            cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        return jnp.stack(waves)

    def orders(self):
        return (np.arange(self.count) + 1) // 2


@final
class FourierSeries(AbstractCircleFunctions):
    """Of `φ = πτ`: one latent, the same at -1 and 1."""

    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, order: int):
        self.order, self.count, self.latent_size = checked_order(order), 2 * order + 1, 1

    def direction(self, latent):
        angle = math.pi * latent[0]
        return jnp.cos(angle), jnp.sin(angle)

    def nodes(self, count):
        return cells(count)[:, None]

    def difference(self, a, b):
        return (a - b + 1) % 2 - 1

    def of_normal(self, latent):
        return even_of_normal(latent)


@final
class CircleInPlane(AbstractCircleFunctions):
    """Of the direction of a latent of two coordinates.

    The mean of a belief on the circle lies within it, the nearer to the middle the less is known:
    no cut, for whatever looks at latents later.
    """

    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, order: int):
        self.order, self.count, self.latent_size = checked_order(order), 2 * order + 1, 2

    def direction(self, latent):
        x, y = self.of_normal(latent)
        return x, y

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
