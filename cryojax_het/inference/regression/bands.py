"""Overlapping Fourier bands, wider at higher frequencies, and running means over places.

With `hat_b` the piecewise linear function that is 1 at the centre of band b and 0 at all others,

    β_b(r) = sin²(½π hat_b(log(1 + r/3))),   Σ_b β_b = 1

for the frequency `r` in shells of the box. Bands of single shells would tell no places apart: what
is `w` shells wide in Fourier space is smeared over `n/w` voxels.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

_RATIO = 1.6  # of the centres of neighbouring bands
_BEND = 3.0  # shells: below, bands are of equal width
_PERIODS = 0.5  # of a band's centre: the window's standard deviation
_LEAST, _MOST = 2.0, 0.2  # voxels, and share of the box: bounds of it


def centres(size: int) -> Float[np.ndarray, " b"]:
    """The shell at the centre of each band: 0, and from 2 to n//2 by equal ratios."""
    last = size // 2
    count = max(2, 1 + round(np.log(max(last / 2, 1)) / np.log(_RATIO)))
    return np.concatenate([[0.0], np.geomspace(min(2.0, last / 2), last, count)])


def widths(size: int) -> Float[np.ndarray, " b"]:
    """Standard deviation in voxels of the window in which a band is looked at: half a period of its
    centre, 2 voxels at least and a fifth of the box at most."""
    periods = size / np.maximum(centres(size), 1.0)
    return np.clip(_PERIODS * periods, min(_LEAST, _MOST * size), _MOST * size)


def band(size: int, index: Int[Array, ""]) -> Float[Array, "n n h"]:
    """`β_b` on the `rfftn` half-grid."""
    knots = np.log1p(centres(size) / _BEND)
    hat = jnp.interp(jnp.log1p(_radii(size) / _BEND), knots, jnp.eye(len(knots))[index])
    return jnp.sin(0.5 * jnp.pi * hat) ** 2


def voxels(transform: Complex[Array, "*m n n h"]) -> Float[Array, "*m n n n"]:
    """Back from `rfftn`."""
    return jnp.fft.irfftn(transform, s=(transform.shape[-2],) * 3, axes=(-3, -2, -1))


def running_mean(values: Float[Array, "n n n"], width: Float[Array, ""]) -> Float[Array, "n n n"]:
    """`values` under a Gaussian window of this standard deviation (voxels) about each place."""
    size = values.shape[0]
    window = jnp.exp(-2 * (jnp.pi * width / size * _radii(size)) ** 2)
    return voxels(jnp.fft.rfftn(values) * window.astype(values.dtype))


def _radii(size):
    """`|k|` in shells, on the `rfftn` half-grid."""
    full, half = jnp.fft.fftfreq(size, 1 / size), jnp.fft.rfftfreq(size, 1 / size)
    return jnp.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)
