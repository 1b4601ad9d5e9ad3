"""Central slices of sums over atoms that split over the axes: `Σ_j E_y[:, j] E_xᵀ[j, :]`.

One matrix product in place of a wave per atom and pixel; and only of frequencies >= 0, since those
below are conjugates.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

Factors = tuple[Float[Array, "k j"], Float[Array, "k j"]]


def separable_sum(
    columns: Float[Array, "j q"],
    factors: Callable[[Float[Array, "c q"]], Factors],
    half: int,
    chunk: int,
) -> Float[Array, "k k"]:
    """`Σ_j (cos, sin)(ky) (cos, sin)(kx)`, `[2 half, 2 half]`, of frequencies >= 0 only.

    - `columns`: all that is known of each atom; rows of zeros must add nothing.
    - `factors`: of a chunk of atoms, real parts then imaginary parts along y, and along x.
    - `chunk`: atoms per product. Chunks are added one after another and computed again in the
      backward pass, so that memory does not grow with their number.
    """

    def product(rows):
        y, x = factors(rows)
        return jnp.matmul(y, x.T, precision="highest")

    count = -(-len(columns) // chunk)
    if count <= 1:
        return product(columns)
    padded = jnp.pad(columns, [(0, -len(columns) % count), (0, 0)])
    step = jax.checkpoint(lambda total, rows: (total + product(rows), None))
    start = jnp.zeros((2 * half, 2 * half), columns.dtype)
    return jax.lax.scan(step, start, padded.reshape(count, -1, columns.shape[1]))[0]


def half_plane(quarters: Float[Array, "k k"]) -> Complex[Array, "y x"]:
    """`[y, x]` from the sums over `ky >= 0`: with `e(-ky)` the conjugate of `e(ky)`, the same four
    products serve both signs, half the work of the whole plane. The Nyquist lines are zero."""
    half = len(quarters) // 2
    zero = jnp.zeros((1, half), quarters.dtype)
    mirrored = lambda q, sign: jnp.concatenate([q, zero, sign * q[:0:-1]])
    cos_cos, cos_sin = quarters[:half, :half], quarters[:half, half:]
    sin_cos, sin_sin = quarters[half:, :half], quarters[half:, half:]
    real = mirrored(cos_cos, 1) - mirrored(sin_sin, -1)
    imag = -mirrored(sin_cos, -1) - mirrored(cos_sin, 1)
    return jnp.pad(jax.lax.complex(real, imag), ((0, 0), (0, 1)))
