"""Voxels of very many points by laying them down on a fine 3-D grid."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid, row_numbers
from .splat import Splat
from .taps import kernel_weights, scatter_rows


def laid_down(
    values: Float[Array, " j"], positions: Float[Array, "j 3"], splat: Splat, grid: FourierGrid
) -> Float[Array, "n n n"]:
    """Voxels `[z, y, x]` of `Σ_j v_j δ(r - r_j)`, band-limited to the cube of frequencies that
    voxels hold: points on voxels give `v_j / a³` there and nothing elsewhere.

    Positions in Å. Beyond the box they come in again at its other side, as in `Splat.slice`.
    """
    n, samples, kernel = grid.size, splat.samples(grid.size), splat.kernel
    width, side = kernel.width, samples + kernel.width
    first, weights = [], []
    for column in positions.T:
        place = column * (samples / grid.length)
        corner = jnp.floor(place + (0.5 if width % 2 else 0.0))
        offset = place - corner - (0.0 if width % 2 else 0.5)
        first.append((corner.astype(jnp.int32) - (width - 1) // 2) % samples)
        weights.append(kernel_weights(offset, kernel))
    x, y, z = first
    table = jnp.zeros((side, side, side, 1), values.dtype)
    table = scatter_rows(values[:, None], (z * side + y) * side + x, weights, table)[..., 0]
    for axis in range(3):
        table = jnp.moveaxis(table, axis, 0)
        table = jnp.moveaxis(table.at[:width].add(table[samples:])[:samples], 0, axis)
    rows = row_numbers(n).astype(int)
    whole = jnp.fft.rfftn(table)[rows][:, rows][:, :, : n // 2 + 1]
    along = kernel.correction(2 * np.pi * row_numbers(n) / samples)
    half = kernel.correction(2 * np.pi * np.arange(n // 2 + 1.0) / samples)
    factor = jnp.asarray(along[:, None, None] * along[:, None] * half, values.dtype)
    return jnp.fft.fftshift(jnp.fft.irfftn(whole * factor, s=(n,) * 3)) / grid.pixel_size**3
