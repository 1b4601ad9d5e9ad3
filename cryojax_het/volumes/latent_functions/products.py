"""Functions of several latents: products of those of each."""

from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .base import AbstractLatentFunctions, checked_order
from .several import AbstractSeveralLatents, checked_axes


@final
class TotalOrder(AbstractSeveralLatents):
    """Products `T_p(τ₁) T_q(τ₂) ...` whose orders add up to `order` at most, by total order.

    - `axes`: the functions of each latent.
    """

    axes: tuple[AbstractLatentFunctions, ...]
    order: int = eqx.field(static=True)
    count: int = eqx.field(static=True, init=False)
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, axes: tuple[AbstractLatentFunctions, ...], order: int):
        self.axes, self.order = checked_axes(axes), checked_order(order)
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
        parts = self.parts(latent)
        places, _ = self._places()
        product = jnp.ones((), latent.dtype)
        for number, (axis, part) in enumerate(zip(self.axes, parts, strict=True)):
            product = product * axis(part)[places[:, number]]
        return product

    def orders(self):
        return self._places()[1]
