"""Real spherical harmonics and how they turn.

`Y_lm`, orthonormal on the sphere, `m` from `-l` to `l`: `√2 N P_l^|m| sin |m|φ` below 0,
`√2 N P_l^m cos mφ` above, without the factor `(-1)^m`. They are polynomials of the direction: no
angle is taken, and gradients are finite everywhere.
"""

import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import sph_harm_y

_SPARE = 2  # points over functions, in the fit that makes a rotation's matrix


def real_harmonics(directions: Float[Array, "p 3"], degree: int) -> Float[Array, "p h"]:
    """`Y_lm` of unit vectors, `(degree + 1)²` of them, by `l` and then by `m`."""
    return _harmonics(directions, jnp.ones_like(directions[:, 0]), degree)


def solid_harmonics(points: Float[Array, "p 3"], degree: int) -> Float[Array, "p h"]:
    """`|r|^l Y_lm(r / |r|)` anywhere, in the same order: polynomials of x, y and z."""
    return _harmonics(points, jnp.sum(points**2, axis=1), degree)


def _harmonics(points, square, degree):
    x, y, z = points.T
    along = _along(z, square, degree).reshape((degree + 1) ** 2, -1)
    around = waves(x, y, degree)
    l, m = lm(degree)
    scale = jnp.asarray(np.where(m == 0, 1, np.sqrt(2)), z.dtype)
    return (along[l * (degree + 1) + np.abs(m)] * around[m + degree]).T * scale


def lm(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """`l` and `m` of each harmonic, in their order."""
    l = np.repeat(np.arange(degree + 1), 2 * np.arange(degree + 1) + 1)
    return l, np.arange(len(l)) - l * (l + 1)


def waves(x: Float[Array, " p"], y: Float[Array, " p"], degree: int) -> Float[Array, "m p"]:
    """`ρ^|m| sin |m|φ` for `m` from `-degree`, then `ρ^m cos mφ` up to `degree`."""

    def turn(held, _):
        cosine, sine = held
        return (x * cosine - y * sine, x * sine + y * cosine), held

    start = jnp.ones_like(x), jnp.zeros_like(x)
    _, (cosines, sines) = jax.lax.scan(turn, start, None, length=degree + 1)
    return jnp.concatenate([sines[:0:-1], cosines])


def _along(z, square, degree):
    """Normalised `r^l P_lm(z/r) / ρ^m`, `[l, m, p]`, zero where `m > l`; `square` is `r²`."""
    constants = [jnp.asarray(c, z.dtype)[..., None] for c in _recurrence(degree)]
    first = jnp.zeros((degree + 1, len(z)), z.dtype).at[0].set(0.5 / math.sqrt(math.pi))

    def advance(held, constants):
        before, last = held
        a, b, c = constants
        shifted = jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])
        found = a * (z * last) - b * (square * before) + c * shifted
        return (last, found), found

    _, rest = jax.lax.scan(advance, (jnp.zeros_like(first), first), constants)
    return jnp.concatenate([first[None], rest])


def _recurrence(degree):
    """Of `P_lm` from `z P_{l-1,m}`, from `P_{l-2,m}`, and of `P_ll` from `P_{l-1,l-1}`; of each `l`
    from 1, `[l, m]`."""
    l, m = np.meshgrid(np.arange(1, degree + 1), np.arange(degree + 1), indexing="ij")
    below, top = m < l, m == l
    a = np.sqrt((4 * l**2 - 1) / np.where(below, l**2 - m**2, 1)) * below
    ratio = ((l - 1) ** 2 - m**2) / np.maximum(4 * (l - 1) ** 2 - 1, 1)
    b = a * np.sqrt(np.maximum(ratio, 0)) * (m < l - 1)
    return a, b, np.sqrt((2 * l + 1) / (2 * l)) * top


def equator(degree: int) -> Float[np.ndarray, " h"]:
    """`Y_lm` at `z = 0` over `sin |m|φ` or `cos mφ`, in the order of the harmonics."""
    l, m = lm(degree)
    scale = np.where(m == 0, 1, np.sqrt(2)) * (-1.0) ** m
    return scale * sph_harm_y(l, np.abs(m), np.pi / 2, 0.0).real * ((l + m) % 2 == 0)


@lru_cache(maxsize=8)
def turning_points(degree: int) -> tuple[Float[np.ndarray, "p 3"], list[np.ndarray]]:
    """Directions, and for each `l` the matrix `[2l + 1, p]` that takes values there to
    coefficients: constants of `rotation_matrices`. Double precision."""
    points = _spread_points(max(_SPARE * (2 * degree + 1), 4))
    theta, phi = np.arccos(points[:, 2]), np.arctan2(points[:, 1], points[:, 0])
    l, m = lm(degree)
    complex_ = (-1.0) ** m * sph_harm_y(l, np.abs(m), theta[:, None], phi[:, None])
    values = np.where(m < 0, complex_.imag, complex_.real) * np.where(m == 0, 1, np.sqrt(2))
    return points, [np.linalg.pinv(values[:, l == degree]) for degree in range(degree + 1)]


@lru_cache(maxsize=8)
def _spread_points(count: int) -> Float[np.ndarray, "p 3"]:
    """Nearly even on the sphere, on no symmetry of it: a spiral by the golden angle."""
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count) + 0.3
    rho = np.sqrt(1 - z**2)
    return np.stack([rho * np.cos(angle), rho * np.sin(angle), z], axis=1)


def rotation_matrices(
    rotation: Float[Array, "3 3"], points: Float[Array, "p 3"], inverse: list
) -> list[Float[Array, "_ _"]]:
    """Wigner's matrices for real harmonics, `[2l + 1, 2l + 1]` for each `l`: where `f` has
    coefficients `a`, `u ↦ f(Rᵀu)` has `D_l a`. Differentiable at every rotation.

    `points`, `inverse`: of `turning_points`.
    """
    turned = real_harmonics(points @ rotation, len(inverse) - 1)
    parts = [turned[:, l**2 : (l + 1) ** 2] for l in range(len(inverse))]
    return [jnp.matmul(x, y, precision="highest") for x, y in zip(inverse, parts, strict=True)]
