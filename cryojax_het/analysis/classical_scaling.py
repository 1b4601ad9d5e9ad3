"""Classical multidimensional scaling: principal coordinates of distances."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .distance_embedding import AbstractDistanceEmbedding, check_distances, embedding_of


@final
@dataclass(frozen=True)
class ClassicalScaling(AbstractDistanceEmbedding):
    """Eigenvectors of `B = -½ H D² H`, `H` the centring, times the roots of their eigenvalues.

    Euclidean distances are kept exactly, in as many dimensions as `B` has positive eigenvalues.
    (Torgerson 1952, Psychometrika 17; Gower 1966, Biometrika 53.)
    """

    def place(self, distances, count):
        check_distances(distances, count)
        values, vectors = principal_coordinates(distances)
        points = vectors[:, :count] * np.sqrt(np.maximum(values[:count], 0))
        return embedding_of(points, distances)


def principal_coordinates(
    distances: Float[np.ndarray, "m m"],
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "m m"]]:
    """Eigenvalues of `B`, the largest first, and its eigenvectors as columns.

    Negative ones tell how far the distances are from those of points in any space.
    """
    squared = distances**2
    rows = squared.mean(axis=0)
    inner = -0.5 * (squared - rows - rows[:, None] + rows.mean())
    values, vectors = np.linalg.eigh(inner)
    return values[::-1], vectors[:, ::-1]


def negative_mass(eigenvalues: Float[np.ndarray, " m"]) -> float:
    """`Σ|λ < 0| / Σ|λ|`: 0 for Euclidean distances."""
    total = float(np.abs(eigenvalues).sum())
    return float(np.maximum(-eigenvalues, 0).sum()) / total if total else 0.0
