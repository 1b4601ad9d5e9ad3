"""Soft masks: where in a map the molecule is, as weights from 0 to 1."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from .fsc import shell_frequencies, volume_shells


def spherical_mask(size: int, radius: float, edge: float) -> Float[np.ndarray, "n n n"]:
    """1 within `radius` of the centre `n // 2`, then half a cosine down to 0 over `edge` (pixels).

    Raises `ValueError` where `radius` is not positive or `edge` is negative.
    """
    if radius <= 0 or edge < 0:
        raise ValueError(f"`radius` must be positive, `edge` not negative. Got {radius}, {edge}.")
    axis = np.arange(size) - size // 2
    squared = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    return _cosine_edge(np.sqrt(squared) - radius, edge)


@final
@dataclass(frozen=True, kw_only=True)
class MaskOptions:
    """How `automatic_mask` finds the molecule; lengths in Å.

    - `low_pass`: finest detail kept before thresholding.
    - `threshold`: density that counts as molecule; None: from the map (see `automatic_mask`).
    - `extend`: how far the mask reaches beyond it; `edge`: width of the cosine edge after that.
    """

    low_pass: float = 15.0
    threshold: float | None = None
    extend: float = 6.0
    edge: float = 10.0


def automatic_mask(
    volume: Float[np.ndarray, "n n n"], pixel_size: float, options: MaskOptions | None = None
) -> Float[np.ndarray, "n n n"]:
    """A soft mask around the density of `volume` `[z, y, x]` at `pixel_size` Å.

    The map is low-pass filtered and thresholded; pieces below a hundredth of the largest are
    dropped as noise, holes filled, the rest extended and given a cosine edge. Without a given
    threshold it is the larger of five standard deviations above the mean of the background (the
    corners outside the inscribed sphere, by median and absolute deviation) and 15 % of the
    filtered map's top (99.9th percentile).

    Raises `ValueError` where nothing lies above the threshold.
    """
    from scipy import ndimage

    options = options or MaskOptions()
    smooth = low_pass_filter(volume, pixel_size, options.low_pass)
    level = _threshold(smooth) if options.threshold is None else options.threshold
    binary = _large_pieces(smooth > level)
    if not binary.any():
        raise ValueError(
            f"No voxel of the map lies above the mask's threshold {level:.4g} (its maximum at "
            f"{options.low_pass} Å is {smooth.max():.4g}): lower the threshold or give a mask."
        )
    mask = np.zeros(volume.shape, np.float32)
    # Distances take ten times the memory of the map: only where the mask is not zero anyway.
    reach = int(np.ceil((options.extend + options.edge) / pixel_size)) + 1
    box = _bounds(binary, reach)
    distance = np.asarray(ndimage.distance_transform_edt(~binary[box])) * pixel_size
    mask[box] = _cosine_edge(distance - options.extend, options.edge)
    return mask


def low_pass_filter(
    volume: Float[np.ndarray, "n n n"], pixel_size: float, cutoff: float
) -> Float[np.ndarray, "n n n"]:
    """`volume` without detail finer than `cutoff` Å: a cosine edge two shells wide on either
    side of `1 / cutoff`."""
    size = volume.shape[0]
    shells = volume_shells(volume.shape)
    limit = size * pixel_size / cutoff
    weight = _cosine_edge(np.arange(shells.max() + 1) - (limit - 2), 4.0).astype(volume.dtype)
    return np.fft.irfftn(np.fft.rfftn(volume) * weight[shells], s=volume.shape, axes=(0, 1, 2))


def filter_shells(
    volume: Float[np.ndarray, "n n n"], weight: Float[np.ndarray, " s"]
) -> Float[np.ndarray, "n n n"]:
    """`volume` with each Fourier shell 0 to n//2 times `weight`; what lies beyond is removed."""
    size = volume.shape[0]
    if len(weight) != len(shell_frequencies(size, 1.0)):
        raise ValueError(f"`weight` must have {size // 2 + 1} shells. Got {len(weight)}.")
    shells = volume_shells(volume.shape)
    padded = np.concatenate([weight, np.zeros(max(0, int(shells.max()) + 1 - len(weight)))])
    return np.fft.irfftn(np.fft.rfftn(volume) * padded[shells], s=volume.shape, axes=(0, 1, 2))


def _cosine_edge(distance: Float[np.ndarray, "*n"], edge: float) -> Float[np.ndarray, "*n"]:
    if edge == 0:
        return np.where(distance <= 0, 1.0, 0.0)
    return 0.5 * (1 + np.cos(np.pi * np.clip(distance / edge, 0, 1)))


def _threshold(smooth: Float[np.ndarray, "n n n"]) -> float:
    size = smooth.shape[0]
    outside = smooth[spherical_mask(size, size / 2 - 1, 0.0) == 0]
    middle = float(np.median(outside))
    # The median deviation of a normal distribution is 0.6745 of its standard deviation.
    spread = float(np.median(np.abs(outside - middle))) / 0.6745
    return max(middle + 5 * spread, 0.15 * float(np.quantile(smooth, 0.999)))


def _bounds(binary: Bool[np.ndarray, "n n n"], margin: int) -> tuple[slice, ...]:
    sides = []
    for axis in range(3):
        inside = np.flatnonzero(binary.any(axis=tuple({0, 1, 2} - {axis})))
        sides.append(slice(max(0, int(inside[0]) - margin), int(inside[-1]) + margin + 1))
    return tuple(sides)


def _large_pieces(binary: Bool[np.ndarray, "n n n"]) -> Bool[np.ndarray, "n n n"]:
    from scipy import ndimage

    labels, count = ndimage.label(binary)  # pyright: ignore[reportGeneralTypeIssues]
    if count == 0:
        return binary
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    kept = sizes >= sizes.max() / 100
    return np.asarray(ndimage.binary_fill_holes(kept[labels]), bool)
