"""Groups of images that are close in latent space, of equal numbers."""

import numpy as np
from jaxtyping import Float, Int


def bisect(points: Float[np.ndarray, "n d"], count: int) -> Int[np.ndarray, " n"]:
    """Group 0 to `count` - 1 of each point: halved again and again across the longest direction.

    Groups are of equal numbers within one, so that batches of one group each are full. `count`
    must not exceed the points. As a k-d tree, but along principal axes.
    """
    if not 0 < count <= len(points):
        raise ValueError(f"{len(points)} points make 1 to {len(points)} groups. Got {count}.")
    groups = np.zeros(len(points), np.int64)
    waiting = [(np.arange(len(points)), count, 0)]
    while waiting:
        rows, parts, first = waiting.pop()
        if parts == 1:
            groups[rows] = first
            continue
        ordered = rows[np.argsort(_along_longest(points[rows]), kind="stable")]
        left = parts // 2
        cut = len(rows) * left // parts
        waiting += [(ordered[:cut], left, first), (ordered[cut:], parts - left, first + left)]
    return groups


def half_groups(
    points: Float[np.ndarray, "n d"], half: Int[np.ndarray, " n"], count: int
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " g"]]:
    """At most `count` groups within each half-set (1 or 2), and the half-set (0 or 1) of each.

    Images of neither half-set are of group -1. `ValueError` where a half-set is empty.
    """
    groups, halves, first = np.full(len(points), -1, np.int64), [], 0
    for number in (1, 2):
        rows = np.flatnonzero(half == number)
        if not len(rows):
            raise ValueError(f"Half-set {number} has no images: cross-validation needs both.")
        parts = min(count, len(rows))
        groups[rows] = first + bisect(points[rows], parts)
        halves += [number - 1] * parts
        first += parts
    return groups, np.array(halves, np.int64)


def group_count(images: int, table_bytes: float) -> int:
    """Groups per half-set: fine enough for the bandwidths in use, with tables that stay in memory.

    400 lose 0.003 of an FSC area of 0.92 against a group per image, 100 lose 0.01 (measured, see
    experiments/regression); each has five images or more, and all tables 4 GB where 100 fit.
    """
    fitting = int(4e9 / (2 * table_bytes))
    return max(1, min(400, images // 10, max(100, fitting)))


def _along_longest(points):
    centred = points - points.mean(axis=0)
    return centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
