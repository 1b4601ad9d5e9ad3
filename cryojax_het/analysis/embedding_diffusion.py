"""Diffusion maps: coordinates that follow the shape of a cloud of latents, however populated.

    K_ij = exp(-D_ij² / ε),   D_ij² = (m_i - m_j)ᵀ (C_i + C_j)⁻¹ (m_i - m_j),   K_ii = 0

With `q_i = Σ_j K_ij`, `W_ij = K_ij / (q_i q_j)` (α = 1) and `d_i = Σ_j W_ij`, the random walk
`W_ij / d_i` is that of the Laplacian of the shape: what is dense is not slow to leave. Eigenvectors
`ψ_k` with the largest eigenvalues `λ_k` below 1 are the coordinates.

Coifman & Lafon 2006, Appl. Comput. Harmon. Anal. 21. New points by `ψ(z) = Σ_j p(z → j) ψ(j) / λ`
(Nyström; Bengio et al. 2004, Neural Comput. 16).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float64, Int

from .chance import some_rows
from .density import LatentPosteriors
from .embedding import AbstractEmbedding, check_count
from .posterior_distances import squared_distances, whitening

_REACH = 400  # landmarks that an image may step to: many times those within ε
_TIES = 8  # that an image on its own is tied to
_ROWS = 2000  # images placed at a time
_LEAST = 1e-300


@final
@dataclass(frozen=True, kw_only=True)
class DiffusionMap(AbstractEmbedding):
    """The first two coordinates `λ_k ψ_k`, ψ of mean square 1.

    ε is `width` times the median of D² to the `√L`-th nearest of L landmarks. An image on its
    own has no weight at all at ε: it is tied to its nearest ones as if they were as far as ε, or
    each outlier would be an eigenvector.

    - `landmarks`: images that the walk is on, at most, drawn by `seed`; all others are placed from
      them. Memory for 2,000 is below 300 MB.
    """

    width: float = 1.0
    landmarks: int = 2000
    seed: int = 0

    def plane(self, posteriors):
        """Where each image lies."""
        check_count(posteriors)
        found = self.coordinates(posteriors, 2)
        return found.values * found.eigenvalues

    def coordinates(self, posteriors: LatentPosteriors, count: int) -> "DiffusionCoordinates":
        """The first `count` coordinates of every image. `ValueError` where images are too few."""
        if len(posteriors) < count + 3:
            raise ValueError(f"{count} coordinates need {count + 3} images. Got {len(posteriors)}.")
        rows = some_rows(len(posteriors), self.landmarks, self.seed)
        walk = _walk(posteriors.take(rows), self.width)
        values, eigenvalues = _eigenvectors(walk, count)
        every = np.empty((len(posteriors), count))
        every[rows] = values
        others = np.setdiff1d(np.arange(len(posteriors)), rows)
        for part in np.array_split(others, len(others) // _ROWS + 1):
            if len(part):
                every[part] = walk.at(posteriors.take(part)) @ values / eigenvalues
        return DiffusionCoordinates(values=every, eigenvalues=eigenvalues)


@final
@dataclass(frozen=True, kw_only=True)
class DiffusionCoordinates:
    """`values`: `ψ_k` of every image, mean square 1 over the walk's images, the constant one left
    out; `eigenvalues` `λ_k`, the largest first."""

    values: Float[np.ndarray, "n k"]
    eigenvalues: Float[np.ndarray, " k"]


@final
@dataclass(frozen=True, kw_only=True)
class _Walk:
    """Landmarks, ε, and the weights `W`, sparse and symmetric; `density`: `q` of each."""

    posteriors: LatentPosteriors
    scale: float
    density: Float64[np.ndarray, " l"]
    weight: object

    def at(self, posteriors: LatentPosteriors):
        """`p(z → j)` from other images to the landmarks, sparse."""
        kernel = _kernel(posteriors, self.posteriors, self.scale)
        return _rows_to_one(kernel.multiply(1 / self.density[None]).tocsr())


def _walk(posteriors: LatentPosteriors, width: float) -> _Walk:
    from scipy import sparse

    scale = width * _usual_distance(posteriors)
    kernel = _kernel(posteriors, posteriors, scale)
    kernel = kernel.maximum(kernel.T)
    density = np.asarray(kernel.sum(axis=1)).ravel()
    inverse = sparse.diags_array(1 / density)
    weight = inverse @ kernel @ inverse
    return _Walk(posteriors=posteriors, scale=scale, density=density, weight=weight)


def _eigenvectors(walk: _Walk, count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy import sparse
    from scipy.sparse.linalg import eigsh

    degree = np.asarray(walk.weight.sum(axis=1)).ravel()  # pyright: ignore
    half = sparse.diags_array(1 / np.sqrt(degree))
    # Near the first eigenvector, disturbed: the same start gives the same signs.
    start = np.sqrt(degree) * (1 + 0.1 * np.cos(np.arange(len(degree))))
    symmetric = (half @ walk.weight @ half).tocsc()
    if len(degree) < 200:
        found, vectors = np.linalg.eigh(symmetric.toarray())
    else:
        # Eigenvalues crowd below 1, where powers of the matrix hardly tell them apart.
        found, vectors = eigsh(symmetric, k=count + 1, sigma=1 + 1e-6, v0=start)
    order = np.argsort(-found)[1 : count + 1]
    values = vectors[:, order] / np.sqrt(degree)[:, None]
    values /= np.sqrt(np.mean(values**2, axis=0))
    values *= np.sign(values[np.abs(values).argmax(axis=0), np.arange(count)])
    return values, found[order]


def _usual_distance(posteriors: LatentPosteriors) -> float:
    """The median, over landmarks, of D² to the `√L`-th nearest other one."""
    reach = min(max(3, round(np.sqrt(len(posteriors)))), len(posteriors) - 1)
    one, other = _nearest(posteriors, posteriors, reach + 1)
    squared = squared_distances(posteriors, posteriors, one, other).reshape(-1, reach + 1)
    return max(float(np.median(squared.max(axis=1))), 1e-12)


def _kernel(posteriors: LatentPosteriors, landmarks: LatentPosteriors, scale: float):
    """`exp(-D²/ε)` of images and the landmarks near them, sparse `[n, l]`; 0 of one with itself."""
    from scipy import sparse

    one, other = _nearest(posteriors, landmarks, _REACH)
    another = (one != other) | (posteriors is not landmarks)
    squared = squared_distances(posteriors, landmarks, one, other)
    weight = np.where(another, np.exp(-squared / scale), 0.0)
    shape = len(posteriors), len(landmarks)
    # An image on its own is tied to its nearest ones.
    few = np.bincount(one, weight, minlength=shape[0]) < np.exp(-1)
    among_nearest = np.arange(len(one)) % (len(one) // shape[0]) <= _TIES
    tie = np.where(few[one] & among_nearest & another, np.exp(-1), 0.0)
    return sparse.csr_array((np.maximum(weight, tie), (one, other)), shape)


def _nearest(posteriors, landmarks, count) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " e"]]:
    """Pairs of each image with `count` landmarks, nearest first by their typical posterior."""
    from scipy.spatial import KDTree

    root, count = whitening(landmarks), min(count, len(landmarks))
    near = np.asarray(KDTree(landmarks.mean @ root).query(posteriors.mean @ root, count)[1])
    return np.repeat(np.arange(len(near)), count), near.ravel()


def _rows_to_one(weight):
    from scipy import sparse

    total = np.maximum(np.asarray(weight.sum(axis=1)).ravel(), _LEAST)
    return sparse.diags_array(1 / total) @ weight
