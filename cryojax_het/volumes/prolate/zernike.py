"""Radial Zernike functions of any dimension, and their transforms in closed form.

    R_lk(r) = √(2(2k + ν + 1)) (-1)^k r^l P_k^(ν,0)(1 - 2r²),   ν = l + D/2 - 1

`P` Jacobi's polynomial; orthonormal on `[0, 1]` with the weight `r^(D-1)`. Their Hankel transforms
are single Bessel functions,

    ∫₀¹ R_lk(r) J_ν(qr) (qr)^(1 - D/2) r^(D-1) dr = (-1)^k √(2(2k + ν + 1)) J_{ν+2k+1}(q) / q^(D/2)

at every `q` (Born & Wolf 1999, Principles of Optics, app. VII; Lederman 2017, arXiv:1710.02874).
Double precision, on the host.
"""

import numpy as np
import scipy.special
from jaxtyping import Float


def order_of(degree: int, dimension: int) -> float:
    """`ν` of the degree `l` in `D` dimensions."""
    return degree + dimension / 2 - 1


def norms(degree: int, dimension: int, count: int) -> Float[np.ndarray, " k"]:
    """`√(2(2k + ν + 1))` of the first `count` functions."""
    return np.sqrt(2 * (2 * np.arange(count) + order_of(degree, dimension) + 1))


def zernike(
    degree: int, dimension: int, count: int, radius: Float[np.ndarray, " r"]
) -> Float[np.ndarray, "k r"]:
    """`R_lk(r)` of the first `count` functions, by the three-term recurrence."""
    nu = order_of(degree, dimension)
    x = 1 - 2 * radius**2
    values = np.empty((count, len(radius)))
    values[0] = radius**degree
    if count > 1:
        values[1] = 0.5 * (nu + (nu + 2) * x) * values[0]
    for k in range(2, count):
        s = 2 * k + nu
        first = (s - 1) * (s * (s - 2) * x + nu**2) * values[k - 1]
        second = 2 * (k + nu - 1) * (k - 1) * s * values[k - 2]
        values[k] = (first - second) / (2 * k * (k + nu) * (s - 2))
    signs = (-1.0) ** np.arange(count)
    return (signs * norms(degree, dimension, count))[:, None] * values


def zernike_transform(
    degree: int, dimension: int, count: int, q: Float[np.ndarray, " q"]
) -> Float[np.ndarray, "k q"]:
    """The Hankel transforms of the first `count` functions at `q >= 0`, as defined above."""
    nu = order_of(degree, dimension)
    orders = nu + 2 * np.arange(count) + 1
    positive = np.where(q > 0, q, 1.0)
    found = scipy.special.jv(orders[:, None], positive) / positive ** (dimension / 2)
    # At q = 0 only R_00, the constant, has a mean: J_{D/2}(q) / q^{D/2} → 2^(-D/2) / Γ(D/2 + 1).
    found[:, q == 0] = 0
    if degree == 0:
        found[0, q == 0] = 2 ** (-dimension / 2) / scipy.special.gamma(dimension / 2 + 1)
    signs = (-1.0) ** np.arange(count)
    return (signs * norms(degree, dimension, count))[:, None] * found
