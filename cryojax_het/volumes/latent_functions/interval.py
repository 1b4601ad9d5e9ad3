"""Functions on the interval [-1, 1], which a molecule moves along from end to end."""

import abc
import math
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .base import AbstractLatentFunctions, cells, checked_order, even_of_normal


class AbstractIntervalFunctions(AbstractLatentFunctions):
    """One latent in [-1, 1]; `order`: of the last function, one less than their number."""

    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, order: int):
        self.order, self.count, self.latent_size = checked_order(order), order + 1, 1

    @abc.abstractmethod
    def at(self, tau: Float[Array, ""]) -> list[Float[Array, ""]]:
        """Values at `tau`, from the constant on."""

    def __call__(self, latent):
        return jnp.stack(self.at(latent[0]))

    def orders(self):
        return np.arange(self.count)

    def nodes(self, count):
        return cells(count)[:, None]

    def difference(self, a, b):
        return a - b

    def of_normal(self, latent):
        return even_of_normal(latent)


@final
class Legendre(AbstractIntervalFunctions):
    """`√(2p + 1) P_p(τ)`: orthonormal where `τ` is even over the interval."""

    def at(self, tau):
        plain = [jnp.ones_like(tau), tau]
        for p in range(1, self.order):
            plain.append(((2 * p + 1) * tau * plain[-1] - p * plain[-2]) / (p + 1))
        return [math.sqrt(2 * p + 1) * x for p, x in enumerate(plain[: self.count])]


@final
class Chebyshev(AbstractIntervalFunctions):
    """`T_p(τ) = cos(p arccos τ)` times `√2` but for the constant: their series are nearly the best
    in the largest error."""

    def at(self, tau):
        plain = [jnp.ones_like(tau), tau]
        for _ in range(1, self.order):
            plain.append(2 * tau * plain[-1] - plain[-2])
        return [plain[0], *(math.sqrt(2) * x for x in plain[1 : self.count])]


@final
class Cosine(AbstractIntervalFunctions):
    """`√2 cos(πp(τ + 1)/2)`: orthonormal, and at rest at both ends."""

    def at(self, tau):
        angle = math.pi / 2 * (tau + 1)
        rest = [math.sqrt(2) * jnp.cos(p * angle) for p in range(1, self.count)]
        return [jnp.ones_like(tau), *rest]
