"""Sums over the Fourier shells of voxel maps `[z, y, x]`, shells 0 to n//2 inside Nyquist's."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ..updates.wiener import shells_inside


def transforms(maps: Float[Array, "*m n n n"]) -> Complex[Array, "*m n n h"]:
    """`rfftn` of each map, zero from the Nyquist sphere on."""
    size = maps.shape[-1]
    return jnp.where(shells_inside(size, size)[1], jnp.fft.rfftn(maps, axes=(-3, -2, -1)), 0)


def cross(first: Complex[Array, "n n h"], second: Complex[Array, "n n h"]) -> Float[Array, " s"]:
    """`Re Σ A B*` over each shell."""
    size = first.shape[0]
    # Planes of `rfftn` that stand for their conjugates too: all but kx = 0; Nyquist is outside.
    twice = jnp.asarray(np.where(np.arange(size // 2 + 1) == 0, 1.0, 2.0), first.real.dtype)
    values = (first.real * second.real + first.imag * second.imag) * twice
    empty = jnp.zeros(size // 2 + 1, values.dtype)
    return empty.at[shells_inside(size, size)[0].ravel()].add(values.ravel())


def correlation(
    first: Complex[Array, "n n h"], second: Complex[Array, "n n h"]
) -> Float[Array, " s"]:
    """`Re Σ A B* / sqrt(Σ|A|² Σ|B|²)`; 0 where either has no power."""
    scale = jnp.sqrt(cross(first, first)) * jnp.sqrt(cross(second, second))
    return jnp.where(scale > 0, cross(first, second) / jnp.where(scale > 0, scale, 1), 0)
