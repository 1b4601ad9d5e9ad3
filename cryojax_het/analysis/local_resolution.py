"""Local resolution: the FSC of two half-maps in a window that moves over the map.

The window is 1 within `radius` of its centre and falls by half a cosine over `edge`. The FSC of a
window is smooth on the scale of its own transform, so that a sub-box around it tells all of it.
Cardone, Heymann & Steven 2013, J. Struct. Biol. 184, 226.
"""

import logging
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from tqdm import tqdm

from .fsc import fourier_shell_correlation, resolution
from .mask import spherical_mask

_LEAST_RADIUS = 5  # pixels: with fewer, a window holds too few coefficients per shell

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True, kw_only=True)
class LocalWindow:
    """Lengths in Å; `threshold` of the FSC, `coarsest` resolution that is reported."""

    radius: float = 12.5
    edge: float = 25.0
    step: float = 25.0
    threshold: float = 1 / 7
    coarsest: float = 50.0


def local_resolution(
    half1: Float[np.ndarray, "n n n"],
    half2: Float[np.ndarray, "n n n"],
    mask: Float[np.ndarray, "z y x"],
    pixel_size: float,
    window: LocalWindow | None = None,
) -> Float32[np.ndarray, "n n n"]:
    """Resolution in Å of every voxel, by interpolation between windows `step` apart.

    - `mask`: windows centred where it is not zero are measured; voxels beyond have `coarsest`.

    A radius below 5 pixels is enlarged to that, with a warning. No resolution is better than
    Nyquist's. Raises `ValueError` where shapes differ.
    """
    if not half1.shape == half2.shape == mask.shape:
        raise ValueError(
            f"Half-maps and mask must be of one shape. Got {half1.shape}, {half2.shape} and "
            f"{mask.shape}."
        )
    window = usable_window(window or LocalWindow(), pixel_size)
    radius = window.radius / pixel_size
    edge, step = window.edge / pixel_size, max(1, round(window.step / pixel_size))
    size = half1.shape[0]
    side = min(size, 2 * int(np.ceil(radius + edge)) + 2)
    soft = spherical_mask(side, radius, edge).astype(np.float32)
    axes = np.arange(size // 2 % step, size, step)
    near = _near(mask > 0, axes, step)
    sampled = np.full((len(axes),) * 3, window.coarsest, np.float32)
    for place in tqdm(np.argwhere(near), desc="windows", disable=None):
        parts = [_cut(half, axes[place], side) * soft for half in (half1, half2)]
        curve = fourier_shell_correlation(*parts)
        found = resolution(curve, window.threshold, side * pixel_size)
        sampled[tuple(place)] = min(found, window.coarsest)
    everywhere = _between(sampled, near, axes, size)
    return np.where(mask > 0, everywhere, window.coarsest).astype(np.float32)


def usable_window(window: LocalWindow, pixel_size: float) -> LocalWindow:
    """`window`, its radius 5 pixels at least; says so where that is more than was asked for."""
    least = _LEAST_RADIUS * pixel_size
    if window.radius > least * (1 - 1e-6):
        return window
    LOG.warning(
        "A window of %g Å is below %d pixels of %g Å: local resolution is of windows of %g Å.",
        window.radius,
        _LEAST_RADIUS,
        pixel_size,
        least,
    )
    return replace(window, radius=least)


def _near(
    inside: Bool[np.ndarray, "n n n"], axes: Int[np.ndarray, " w"], step: int
) -> Bool[np.ndarray, "w w w"]:
    """Windows that a voxel inside would be interpolated from."""
    from scipy import ndimage

    grown = np.asarray(ndimage.maximum_filter(inside, size=2 * step + 1, mode="constant"))
    return grown[np.ix_(axes, axes, axes)]


def _cut(
    volume: Float[np.ndarray, "n n n"], centre: Int[np.ndarray, " 3"], side: int
) -> Float[np.ndarray, "m m m"]:
    """A cube of `side` voxels whose middle voxel is `centre`; zero outside the box."""
    size, cube = volume.shape[0], np.zeros((side,) * 3, volume.dtype)
    first = centre - side // 2
    low, high = np.maximum(first, 0), np.minimum(first + side, size)
    source = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    target = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
    cube[target] = volume[source]
    return cube


def _between(sampled, near, axes, size) -> np.ndarray:
    """Linear interpolation; a window that was not measured stands for its nearest that was."""
    from scipy import ndimage

    if near.any():
        nearest = ndimage.distance_transform_edt(~near, return_distances=False, return_indices=True)
        sampled = sampled[tuple(np.asarray(nearest))]
    if len(axes) == 1:
        return np.full((size,) * 3, sampled.flat[0])
    place = (np.arange(size) - axes[0]) / (axes[1] - axes[0])
    points = np.meshgrid(place, place, place, indexing="ij")
    return ndimage.map_coordinates(sampled, points, order=1, mode="nearest")
