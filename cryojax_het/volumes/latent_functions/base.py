"""Functions of a latent that a volume is expanded in."""

import abc

import equinox as eqx
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float


class AbstractLatentFunctions(eqx.Module):
    """`T_0 = 1, T_1, ...` of a latent of a known range, over which it is even.

    - `latent_size`: of the latent; `count`: of functions, the constant one included.
    """

    latent_size: AbstractVar[int]
    count: AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, latent: Float[Array, " d"]) -> Float[Array, " p"]:
        """Values at one latent."""

    @abc.abstractmethod
    def orders(self) -> np.ndarray:
        """How fast each function varies, `[count]` whole numbers, 0 for the constant."""

    @abc.abstractmethod
    def nodes(self, count: int) -> Float[np.ndarray, "g d"]:
        """Latents spread evenly over the range, `count` along each axis, each standing for as much
        of the range as any other."""

    @abc.abstractmethod
    def leading(self, order: int) -> "AbstractLatentFunctions":
        """Those of orders up to `order`: they come first, in the same places."""


def checked_order(order: int) -> int:
    """`ValueError` for an order below 0."""
    if order < 0:
        raise ValueError(f"The largest order of latent functions must be at least 0. Got {order}.")
    return order


def cells(count: int) -> Float[np.ndarray, " g"]:
    """Middles of `count` equal parts of [-1, 1]."""
    return (2 * np.arange(count) + 1) / count - 1
