"""Prolate functions as voxels."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from .basis import ProlateBasis

_CHUNK = 2048  # frequencies whose harmonics are held at once


def voxels_of(
    basis: ProlateBasis, coefficients: Float[Array, "k p"], grid: FourierGrid
) -> Float[Array, "p n n n"]:
    """`Σ_k a_kp ψ_k` as voxels of the box of `grid`, limited to its Nyquist sphere and to the band
    of the basis. Linear in the coefficients."""
    n = grid.size
    rows, points = half_sphere(n)
    padding = -len(rows) % _CHUNK
    spread = np.pad(points, ((0, padding), (0, 0))).reshape(-1, _CHUNK, 3)
    at = lambda part: basis.transform(coefficients, part / grid.length)
    found = jax.lax.map(at, jnp.asarray(spread, grid.pixel_size.dtype))
    found = found.reshape(-1, coefficients.shape[1])[: len(rows)]
    half = jnp.zeros((n * n * (n // 2 + 1), coefficients.shape[1]), found.dtype)
    half = half.at[rows].set(found, unique_indices=True).T.reshape(-1, n, n, n // 2 + 1)
    # From the centre to the corner: a shift by n/2 voxels along each axis.
    sign = 1 - 2 * (np.indices((n, n, n // 2 + 1)).sum(axis=0) % 2)
    voxels = jnp.fft.irfftn(half * jnp.asarray(sign, found.real.dtype), s=(n,) * 3, axes=(1, 2, 3))
    return voxels / grid.pixel_size**3


def half_sphere(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Places in an `rfftn` of a box, and frequencies (x, y, z) in steps of one over the box, of all
    that is strictly inside the Nyquist sphere. Constants."""
    full, half = np.fft.fftfreq(size, 1 / size), np.arange(size // 2 + 1)
    z, y, x = np.meshgrid(full, full, half, indexing="ij")
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    rows = np.flatnonzero(np.sum(points**2, axis=1) < (size // 2) ** 2)
    return rows, points[rows]
