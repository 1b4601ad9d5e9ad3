"""Zernike functions of a ball, where a smooth field in space is expanded.

    Z_nlm(r) = R_nl(|r|) Y_lm(r/|r|),   R_nl(ρ) = √(2n+3) ρ^l (-1)^k P_k^(l+½,0)(1 - 2ρ²)

`n = l + 2k`, `P` Jacobi's polynomial, `Y` real spherical harmonics: orthonormal on the unit ball.
Polynomials of x, y and z of degree `n`, so that values and slopes are smooth at the centre too.
(Herreros et al. 2021, IUCrJ 8, and 2023, Nat. Commun. 14: Zernike3D; Born & Wolf 1999, Principles
of Optics, app. VII.)
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .prolate.harmonics import lm, solid_harmonics


class ZernikeOrder(NamedTuple):
    """How many: `n = l, l + 2, ... <= radial` and `l <= angular`: (3, 2) has 13, (7, 5) has 92."""

    radial: int
    angular: int

    @property
    def size(self) -> int:
        """Number of functions."""
        return sum(self.counts()[l] * (2 * l + 1) for l in range(self.angular + 1))

    def counts(self) -> list[int]:
        """Radial functions of each `l`."""
        return [max((self.radial - l) // 2 + 1, 0) for l in range(self.angular + 1)]


def zernike_functions(points: Float[Array, "p 3"], order: ZernikeOrder) -> Float[Array, "p k"]:
    """All functions at points of the unit ball: by `k`, then by `l`, then by `m`. Beyond the ball
    they go on as polynomials do.

    Raises `ValueError` where an order is below 0 or the radial one below the angular one.
    """
    if not 0 <= order.angular <= order.radial:
        raise ValueError(
            "Zernike orders are 0 <= angular <= radial. "
            f"Got radial {order.radial} and angular {order.angular}."
        )
    solid = solid_harmonics(points, order.angular)
    square = jnp.sum(points**2, axis=1)
    degrees = lm(order.angular)[0]
    counts = np.array(order.counts())
    columns = []
    for k, radial in enumerate(_radial(square, order)):
        kept = np.flatnonzero(counts[degrees] > k)
        columns.append(radial[degrees[kept]].T * solid[:, kept])
    return jnp.concatenate(columns, axis=1)


def _radial(square, order):
    """`R_nl(ρ) / ρ^l` at `ρ²`, of every `l` `[l, p]`, for `k = 0, 1, ...`, by the recurrence."""
    l = np.arange(order.angular + 1.0)[:, None]
    nu, x = l + 0.5, 1 - 2 * square
    norm = lambda k: np.sqrt(2 * (l + 2 * k) + 3) * (-1.0) ** k
    cast = lambda values: jnp.asarray(values, square.dtype)
    before, last = jnp.zeros_like(x), jnp.ones_like(x) * cast(np.ones_like(l))
    for k in range(max(order.counts())):
        if k == 1:
            before, last = last, 0.5 * (cast(nu) + cast(nu + 2) * x)
        elif k > 1:
            s = 2 * k + nu
            over = 2 * k * (k + nu) * (s - 2)
            first = cast((s - 1) * s * (s - 2) / over) * x + cast((s - 1) * nu**2 / over)
            second = cast(2 * (k + nu - 1) * (k - 1) * s / over)
            before, last = last, first * last - second * before
        yield cast(norm(k)) * last
