"""Points in a few dimensions whose distances are those given, as nearly as may be."""

import abc
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float


@final
@dataclass(frozen=True, kw_only=True)
class Embedding:
    """`coordinates` of M points, and how well they keep the distances.

    - `stress`: Kruskal's first, `sqrt(Σ (d_ij - D_ij)² / Σ D_ij²)`: 0 where all are kept.
    """

    coordinates: Float[np.ndarray, "m d"]
    stress: float


class AbstractDistanceEmbedding(abc.ABC):
    """A way to place points by their distances."""

    @abc.abstractmethod
    def place(self, distances: Float[np.ndarray, "m m"], count: int) -> Embedding:
        """Points in `count` dimensions, about their mean. `ValueError` as `check_distances`."""


def check_distances(distances: Float[np.ndarray, "m m"], count: int) -> None:
    """`ValueError` where they are no distances: not symmetric, negative, not finite; or where
    dimensions are not fewer than points."""
    if not np.isfinite(distances).all() or distances.min() < 0:
        raise ValueError("`distances` must be finite and not negative.")
    scale = max(float(distances.max()), 1e-300)
    if np.abs(distances - distances.T).max() > 1e-6 * scale or np.diag(distances).any():
        raise ValueError("`distances` must be symmetric, with zeros on the diagonal.")
    if not 1 <= count < len(distances):
        raise ValueError(
            f"{len(distances)} points take 1 to {len(distances) - 1} dimensions. Got {count}."
        )


def embedding_of(
    coordinates: Float[np.ndarray, "m d"], distances: Float[np.ndarray, "m m"]
) -> Embedding:
    """Coordinates about their mean, axes by decreasing spread, with their stress."""
    about = coordinates - coordinates.mean(axis=0)
    turn = np.linalg.svd(about, full_matrices=False)[2]
    # The sign of an axis is arbitrary: its largest entry is positive.
    turned = about @ turn.T
    sign = np.sign(np.take_along_axis(turned, np.abs(turned).argmax(axis=0)[None], axis=0))
    return Embedding(coordinates=turned * sign, stress=stress(about, distances))


def stress(points: Float[np.ndarray, "m d"], distances: Float[np.ndarray, "m m"]) -> float:
    """Kruskal's stress-1 of points for distances (Kruskal 1964, Psychometrika 29)."""
    total = float(np.sum(distances**2))
    return float(np.sqrt(np.sum((lengths(points) - distances) ** 2) / total)) if total else 0.0


def lengths(points: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "m m"]:
    """Distance of every point from every other."""
    return np.linalg.norm(points[:, None] - points[None], axis=2)
