"""Functions of several latents: products of those of each."""

from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .base import AbstractLatentFunctions, checked_order


@final
class TotalOrder(AbstractLatentFunctions):
    """Products `T_p(τ₁) T_q(τ₂) ...` whose orders add up to `order` at most, by total order.

    - `axes`: the functions of each latent.
    """

    axes: tuple[AbstractLatentFunctions, ...]
    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, axes: tuple[AbstractLatentFunctions, ...], order: int):
        if not axes:
            raise ValueError("Products need the functions of at least one latent. Got none.")
        self.axes, self.order = axes, checked_order(order)
        self.latent_size = sum(axis.latent_size for axis in axes)
        self.count = len(self._places()[0])

    def _places(self):
        """Which function of each axis makes each product `[count, axes]`, and its order."""
        grids = np.meshgrid(*(axis.orders() for axis in self.axes), indexing="ij")
        total = np.sum(grids, axis=0)
        places = np.argwhere(total <= self.order)
        orders = total[tuple(places.T)]
        by_order = np.argsort(orders, kind="stable")
        return places[by_order], orders[by_order]

    def __call__(self, latent):
        parts = parts_of(self.axes, latent)
        places, _ = self._places()
        product = jnp.ones((), latent.dtype)
        for number, (axis, part) in enumerate(zip(self.axes, parts, strict=True)):
            product = product * axis(part)[places[:, number]]
        return product

    def orders(self):
        return self._places()[1]

    def nodes(self, count):
        return node_products(self.axes, count)

    def difference(self, a, b):
        return differences(self.axes, a, b)

    def of_normal(self, latent):
        return each_of_normal(self.axes, latent)


def parts_of(
    axes: Sequence[AbstractLatentFunctions], latent: Float[Array, " d"]
) -> list[Float[Array, " _"]]:
    """The latent of each axis."""
    return jnp.split(latent, np.cumsum([axis.latent_size for axis in axes])[:-1])


def differences(
    axes: Sequence[AbstractLatentFunctions], a: Float[Array, " d"], b: Float[Array, " d"]
) -> Float[Array, " d"]:
    """Of latents of several axes."""
    pairs = zip(axes, parts_of(axes, a), parts_of(axes, b), strict=True)
    return jnp.concatenate([axis.difference(x, y) for axis, x, y in pairs])


def each_of_normal(
    axes: Sequence[AbstractLatentFunctions], latent: Float[Array, " d"]
) -> Float[Array, " d"]:
    """Of several axes."""
    parts = zip(axes, parts_of(axes, latent), strict=True)
    return jnp.concatenate([axis.of_normal(part) for axis, part in parts])


def node_products(axes: Sequence[AbstractLatentFunctions], count: int) -> Float[np.ndarray, "g d"]:
    """Every node of each axis with every node of all others."""
    each = [axis.nodes(count) for axis in axes]
    grids = np.meshgrid(*(np.arange(len(x)) for x in each), indexing="ij")
    return np.concatenate([x[g.ravel()] for x, g in zip(each, grids, strict=True)], axis=1)
