"""Distances between images in a latent space that count differences by how well they are told."""

import numpy as np
from jaxtyping import Float, Float64, Integer

from .density import LatentPosteriors

_PAIRS = 100_000  # at a time


def squared_distances(
    first: LatentPosteriors,
    second: LatentPosteriors,
    one: Integer[np.ndarray, " e"],
    other: Integer[np.ndarray, " e"],
) -> Float64[np.ndarray, " e"]:
    """`(m_i - m_j)ᵀ (C_i + C_j)⁻¹ (m_i - m_j)` of pairs: row `one` of the first, row `other` of the
    second."""
    squared = np.empty(len(one))
    for part in np.array_split(np.arange(len(one)), max(len(one) // _PAIRS, 1)):
        a, b = one[part], other[part]
        step = (first.mean[a] - second.mean[b]).astype(np.float64)
        spread = first.covariance[a].astype(np.float64) + second.covariance[b]
        solved = np.linalg.solve(spread, step[..., None])[..., 0]
        squared[part] = np.einsum("ei,ei->e", step, solved)
    return squared


def whitening(posteriors: LatentPosteriors) -> Float64[np.ndarray, "d d"]:
    """L, with `L Lᵀ` the inverse of the mean covariance: Euclidean distances between rows `m L` are
    in deviations of a typical posterior."""
    typical = posteriors.covariance.astype(np.float64).mean(axis=0)
    return np.linalg.cholesky(np.linalg.inv(typical))


def whitened(posteriors: LatentPosteriors) -> Float[np.ndarray, "n d"]:
    """The means times `whitening`."""
    return posteriors.mean.astype(np.float64) @ whitening(posteriors)
