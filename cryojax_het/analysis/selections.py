"""Which images are wanted: conditions on labels, latents and scores, a mask of all images each."""

import numpy as np
from jaxtyping import Bool, Float, Integer


def in_clusters(
    label: Integer[np.ndarray, " n"], wanted: Integer[np.ndarray, " w"]
) -> Bool[np.ndarray, " n"]:
    """Whether the label of an image is among `wanted`. `ValueError` for a cluster that is none."""
    lacking = np.setdiff1d(wanted, label[label >= 0])
    if lacking.size:
        raise ValueError(
            f"There is no cluster {lacking[0]}: they are numbered from 0 to {label.max()}."
        )
    return np.isin(label, wanted)


def in_range(values: Float[np.ndarray, " n"], low: float, high: float) -> Bool[np.ndarray, " n"]:
    """`low <= value <= high`; never for NaN. `ValueError` where `low` is above `high`."""
    if not low <= high:
        raise ValueError(f"A range leads from its lower end to its upper one. Got {low} to {high}.")
    return (values >= low) & (values <= high)


def in_quantiles(
    values: Float[np.ndarray, " n"], low: float, high: float
) -> Bool[np.ndarray, " n"]:
    """Values from the quantile `low` to the quantile `high` of all finite ones, 0 to 1."""
    if not 0 <= low <= high <= 1:
        raise ValueError(f"Quantiles lie from 0 to 1, the lower one first. Got {low} and {high}.")
    return in_range(values, *np.quantile(values[np.isfinite(values)], (low, high)).tolist())


def in_polygon(
    points: Float[np.ndarray, "n 2"], corners: Float[np.ndarray, "c 2"]
) -> Bool[np.ndarray, " n"]:
    """Whether a point lies in the polygon, its last corner joined to the first; never for NaN.

    By the parity of its sides that a ray from the point to the right crosses: of an outline that
    crosses itself, what is enclosed twice is outside. Raises `ValueError` for less than 3 corners.
    """
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"A polygon has 3 corners or more, all finite. Got {len(corners)}.")
    x, y = points.T
    inside = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # A corner at the very height of a point belongs to the side below it alone.
        spans = (y1 > y) != (y2 > y)
        if y1 != y2:
            inside ^= spans & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return inside & np.isfinite(points).all(axis=1)


def of_rows(rows: Integer[np.ndarray, " r"], count: int) -> Bool[np.ndarray, " n"]:
    """The images of these rows, from 0. `ValueError` for a row beyond `count`."""
    bad = rows[(rows < 0) | (rows >= count)]
    if bad.size:
        raise ValueError(f"There is no row {bad[0]}: rows are numbered from 0 to {count - 1}.")
    inside = np.zeros(count, bool)
    inside[rows] = True
    return inside
