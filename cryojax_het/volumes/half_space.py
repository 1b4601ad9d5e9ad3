"""Each pair of opposite frequencies once: transforms of real densities are Hermitian."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from ..imaging.grid import inside_circle, row_numbers


def half_circle(size: int) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Row and column of one frequency of each pair inside the Nyquist circle of a half-plane: on
    the column `kx = 0`, of each pair the one of positive `ky`."""
    kept = inside_circle(size)
    kept[size // 2 :, 0] = False
    rows, columns = np.nonzero(kept)
    return rows, columns


def on_half_plane(values: Complex[Array, " p"], size: int) -> Complex[Array, "y x"]:
    """The half-plane whose frequencies `half_circle` have these values; 0 outside the circle."""
    rows, columns = half_circle(size)
    plane = jnp.zeros((size, size // 2 + 1), values.dtype)
    plane = plane.at[rows, columns].set(values, unique_indices=True, mode="promise_in_bounds")
    first = plane[1 : size // 2, 0]
    return plane.at[size // 2 + 1 :, 0].set(first[::-1].conj())


def half_ball(size: int) -> Int[np.ndarray, "p 3"]:
    """`(kx, ky, kz)`, in steps of one over the box, of one frequency of each pair inside the
    Nyquist sphere."""
    k = row_numbers(size).astype(np.int64)
    z, y, x = np.meshgrid(k, k, np.arange(size // 2), indexing="ij")
    inside = x**2 + y**2 + z**2 < (size // 2) ** 2
    upper = (x > 0) | (y > 0) | ((y == 0) & (z >= 0))
    kept = inside & upper
    return np.stack([x[kept], y[kept], z[kept]], axis=1)


def on_half_space(values: Complex[Array, " p"], size: int) -> Complex[Array, "z y x"]:
    """The half-space of `rfftn` whose frequencies `half_ball` have these values; 0 outside."""
    x, y, z = half_ball(size).T
    space = jnp.zeros((size, size, size // 2 + 1), values.dtype)
    space = space.at[z, y, x].set(values, unique_indices=True)
    plane = x == 0
    opposite = values[np.flatnonzero(plane)].conj()
    return space.at[-z[plane], -y[plane], 0].set(opposite)


def canonical(
    points: Float[Array, "p 3"],
) -> tuple[Float[Array, "p 3"], Float[Array, " p"]]:
    """Of each point and its opposite, the one of positive z, and -1 where it is the opposite; on
    the plane `z = 0` the one of positive y, on the line `y = z = 0` of positive x."""
    x, y, z = points.T
    upper = (z > 0) | ((z == 0) & ((y > 0) | ((y == 0) & (x >= 0))))
    sign = jnp.where(upper, 1, -1).astype(points.dtype)
    return points * sign[:, None], sign
