"""Eigenvalues of small symmetric matrices, one per image, in plain array operations.

LAPACK's batched solvers hand their work to the threads that also run the programs of virtual CPU
devices: where every device waits for such a solver, none of them ever ends. Jacobi's method has no
such need, maps over images by `vmap`, and for a few dozen unknowns is no slower.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_SWEEPS = 10  # single precision is reached after seven, double after ten for twenty unknowns


def symmetric_eigen(
    matrix: Float[Array, "n n"],
) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """Eigenvalues of a symmetric matrix, in no order, and eigenvectors as columns.

    Cyclic Jacobi rotations, half of the rows with the other half at once, the pairing by the
    circle method (Brent & Luk 1985, SIAM J. Sci. Stat. Comput. 6).
    """
    size = matrix.shape[0]
    if size < 2:
        return jnp.diagonal(matrix), jnp.ones((size, size), matrix.dtype)
    even = size + size % 2
    padded = jnp.pad(matrix, (0, even - size))
    circle = _circle(even)

    def rotation(_, held):
        a, v = _rotated(*held)
        return a[circle][:, circle], v[:, circle]

    start = (padded, jnp.eye(size, even, dtype=matrix.dtype))
    turned, vectors = jax.lax.fori_loop(0, _SWEEPS * (even - 1), rotation, start)
    # Whole sweeps bring every column back to its place, the padding to the end.
    return jnp.diagonal(turned)[:size], vectors[:, :size]


def _circle(size: int):
    """Who sits where next: the first stays, all others move on by one place."""
    half = size // 2
    upper = [0, half, *range(1, half - 1)] if half > 1 else [0]
    lower = [*range(half + 1, size), half - 1] if half > 1 else [1]
    return np.array(upper + lower)


def _rotated(a, v):
    """Rows and columns of the upper half turned against those of the lower, to remove `a_pq`."""
    half = a.shape[0] // 2
    diagonal = jnp.diagonal(a)
    p, q, off = diagonal[:half], diagonal[half:], jnp.diagonal(a[:half, half:])
    tiny = jnp.finfo(a.dtype).tiny
    theta = (q - p) / (2 * jnp.where(jnp.abs(off) > tiny, off, 1))
    tangent = jnp.where(theta < 0, -1, 1) / (jnp.abs(theta) + jnp.sqrt(theta**2 + 1))
    tangent = jnp.where(jnp.abs(off) > tiny, tangent, 0)
    cosine = 1 / jnp.sqrt(1 + tangent**2)
    sine = tangent * cosine

    def turn(x):
        first, second = x[:, :half], x[:, half:]
        return jnp.concatenate(
            [cosine * first - sine * second, sine * first + cosine * second], axis=1
        )

    return turn(turn(a).T), turn(v)
