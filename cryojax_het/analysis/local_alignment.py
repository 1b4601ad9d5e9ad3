"""Affine maps from a latent to the coordinates of the truth that follow a bend of it."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .calibration import align
from .chance import as_points, check_paired, some_rows

_COUNTS = (64, 128, 256, 512)  # of neighbours that a map is fitted to
_WORSE = 1.05  # of the least squared error: what a wider fit may have
_TRIED = 2000  # images that the number of neighbours is chosen on, at most
_AT_ONCE = 2048  # images whose neighbours are held


@final
@dataclass(frozen=True, kw_only=True)
class LocalAlignment:
    """An affine map for each of n images: `matrix @ (z - centre) + offset`."""

    matrix: Float[np.ndarray, "n e d"]
    centre: Float[np.ndarray, "n d"]
    offset: Float[np.ndarray, "n e"]

    def points(self, latent: Float[np.ndarray, "n k d"]) -> Float[np.ndarray, "n k e"]:
        """Some latents of each image, mapped."""
        away = latent - self.centre[:, None]
        return away @ self.matrix.transpose(0, 2, 1) + self.offset[:, None]

    def covariances(self, covariance: Float[np.ndarray, "n d d"]) -> Float[np.ndarray, "n e e"]:
        """Covariances carried along: `A Σ Aᵀ`."""
        return self.matrix @ covariance @ self.matrix.transpose(0, 2, 1)


def align_locally(
    latent: Float[np.ndarray, "m d"],
    truth: Float[np.ndarray, "o e"],
    at: Float[np.ndarray, "n d"],
) -> LocalAlignment:
    """Maps at the latents `at`, each of least squares over the images of `latent` nearest to it.

    A latent may bend the truth: what an affine map of all leaves is then not the posterior's error.
    Nearness is of latents, never of truths, so that the regression stays that of the truth on
    posterior means (see `align`). Neighbours are 64 to 512, or all images, which is one affine map:
    the most whose squared error, each image predicted from the others, is at most 1.05 times the
    least. Where some neighbours agree in a coordinate of the truth, which leaves no width there,
    it is all images too. Distances are Euclidean: whiten the latent first.

    Raises `ValueError` where rows disagree.
    """
    check_paired(latent, truth, ("latent", "truth"))
    points, values = as_points(latent, "latent"), as_points(truth, "truth")
    rows = some_rows(len(points), _TRIED, 0)
    counts = [count for count in _COUNTS if count <= len(points) // 2]
    errors = []
    for count in counts:
        near = _nearest(points, points[rows], count + 1)
        others = near[:, 1:]  # the first is the image itself, or one in its very place
        found = _fitted(points, values, others)
        errors.append(_error(found, points[rows], values[rows]))
    whole = align(points, values)
    errors.append(float(np.sum((values[rows] - whole.points(points[rows])) ** 2)))
    chosen = int(np.flatnonzero(np.asarray(errors) <= _WORSE * min(errors))[-1])
    if chosen < len(counts):
        found = _fitted(points, values, _nearest(points, at, counts[chosen]))
        if np.linalg.matrix_rank(found.matrix).min() == values.shape[1]:
            return found
    return LocalAlignment(
        matrix=np.tile(whole.matrix, (len(at), 1, 1)),
        centre=np.zeros(at.shape),
        offset=np.tile(whole.offset, (len(at), 1)),
    )


def _nearest(points, at, count: int) -> Int[np.ndarray, "n k"]:
    from scipy.spatial import KDTree

    return np.asarray(KDTree(points).query(at, count)[1], np.int64)


def _fitted(points, values, near: Int[np.ndarray, "n k"]) -> LocalAlignment:
    parts = []
    for start in range(0, len(near), _AT_ONCE):
        rows = near[start : start + _AT_ONCE]
        seen, told = points[rows], values[rows]
        centre, offset = seen.mean(axis=1), told.mean(axis=1)
        away = seen - centre[:, None]
        square = np.einsum("nki,nkj->nij", away, away)
        across = np.einsum("nke,nki->nei", told - offset[:, None], away)
        # A pseudo-inverse: neighbours may all lie on a line.
        parts.append((across @ np.linalg.pinv(square, hermitian=True), centre, offset))
    matrix, centre, offset = (np.concatenate(part) for part in zip(*parts, strict=True))
    return LocalAlignment(matrix=matrix, centre=centre, offset=offset)


def _error(found: LocalAlignment, points, values) -> float:
    return float(np.sum((values - found.points(points[:, None])[:, 0]) ** 2))
