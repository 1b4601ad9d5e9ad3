"""Radial parts of generalised prolate spheroidal functions.

Eigenfunctions `ψ(x) = Φ_ln(|x|) Y(x/|x|)` of the transform of the unit ball of `D` dimensions,
limited to the frequencies below `c`:

    ∫_{|t|<=1} ψ(t) exp(i c x·t) dt = α ψ(x),   α = i^l (2π)^(D/2) γ_ln / c^((D-1)/2)

`c γ²` is the share of a function's energy that is within the band. In Zernike functions the
differential operator that shares the eigenfunctions is tridiagonal, and its eigenvectors follow
with full accuracy however small `γ` is. (Slepian 1964, Bell Syst. Tech. J. 43; Lederman 2017,
arXiv:1710.02874.) Double precision, on the host.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
import scipy.linalg
import scipy.special
from jaxtyping import Float

from .zernike import norms, order_of, zernike, zernike_transform

_BEYOND = 60  # Zernike functions past c/π: coefficients have fallen far below rounding
_NODES = 200  # of the quadrature, beyond c


@final
@dataclass(frozen=True)
class RadialProlates:
    """`Φ_ln` of one degree `l`, the one of the largest share in the band first.

    - `coefficients`: of Zernike functions, `[k, n]`, orthonormal columns;
    - `gamma`: `γ_ln`, with alternating signs.
    """

    degree: int
    dimension: int
    bandlimit: float
    coefficients: Float[np.ndarray, "k n"]
    gamma: Float[np.ndarray, " n"]

    @property
    def share(self) -> Float[np.ndarray, " n"]:
        """`c γ²`: the energy within the band."""
        return self.bandlimit * self.gamma**2

    def leading(self, count: int) -> "RadialProlates":
        """The first `count`."""
        kept = self.coefficients[:, :count]
        return RadialProlates(self.degree, self.dimension, self.bandlimit, kept, self.gamma[:count])

    def values(self, radius: Float[np.ndarray, " r"]) -> Float[np.ndarray, "n r"]:
        """`Φ_ln(r)` within the ball, `0 <= r <= 1`."""
        of_zernike = zernike(self.degree, self.dimension, len(self.coefficients), radius)
        return self.coefficients.T @ of_zernike

    def transform(self, q: Float[np.ndarray, " q"]) -> Float[np.ndarray, "n q"]:
        """`∫₀¹ Φ_ln(r) J_ν(qr) (qr)^(1 - D/2) r^(D-1) dr` at any `q >= 0`; of `D = 3` times
        `√(π/2)` it is the integral against the spherical Bessel function `j_l(qr) r²`."""
        found = zernike_transform(self.degree, self.dimension, len(self.coefficients), q)
        return self.coefficients.T @ found


def radial_prolates(degree: int, bandlimit: float, dimension: int = 3) -> RadialProlates:
    """All that the truncated system has, of which the first `c/π` or so are in the band.

    Raises `ValueError` for a degree below 0, a band limit that is not positive, or a dimension
    below 2.
    """
    if degree < 0 or bandlimit <= 0 or dimension < 2:
        raise ValueError(
            "A degree from 0, a positive band limit and a dimension from 2 are needed. Got "
            f"{degree}, {bandlimit} and {dimension}."
        )
    count = int(bandlimit / np.pi) + _BEYOND
    diagonal, beside = _operator(order_of(degree, dimension), bandlimit, count)
    _, vectors = scipy.linalg.eigh_tridiagonal(diagonal, beside)
    vectors = vectors[:, ::-1]
    signs = np.where(vectors[0] < 0, -1.0, 1.0)
    vectors = vectors * signs
    gamma = _eigenvalues(degree, dimension, bandlimit, vectors)
    return RadialProlates(degree, dimension, bandlimit, vectors, gamma)


def _operator(nu, c, count):
    """Diagonal and first off-diagonal of the differential operator among Zernike functions."""
    k = np.arange(count)
    s = 2 * k + nu
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = c**2 * (2 * k * (k + 1) + nu * (s + 1)) / (s * (s + 2))
    if nu == 0:
        middle[0] = c**2 / 2  # the limit ν → 0
    diagonal = -((s + 0.5) * (s + 1.5) + middle)
    k, s = k[1:], s[1:]
    beside = -(c**2) * k * (k + nu) / (s * (s + 1) * np.sqrt(1 - 2 / (1 + s)))
    return diagonal, beside


def _eigenvalues(degree, dimension, c, vectors):
    """`γ = hᵀ M h`, `M` the finite Hankel transform among Zernike functions, by Gauss-Legendre."""
    count = len(vectors)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES + int(c) + count)
    y, weights = 0.5 * (nodes + 1), 0.5 * weights
    nu = order_of(degree, dimension)
    own = vectors.T @ (zernike(degree, dimension, count, y) * y ** ((dimension - 1) / 2))
    orders = nu + 2 * np.arange(count) + 1
    signed = (-1.0) ** np.arange(count) * norms(degree, dimension, count)
    bessel = scipy.special.jv(orders[:, None], c * y) / np.sqrt(c * y)
    other = vectors.T @ (signed[:, None] * bessel)
    return np.sum(own * other * weights, axis=1)
