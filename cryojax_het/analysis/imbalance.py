"""Information imbalance: what one description of the images tells of another.

Δ(A→B) is 0 where the neighbours in A are those in B, and 1 where A says nothing of B. A latent that
is about heterogeneity has a small Δ to the state and one of 1 to the pose and the defocus.

Glielmo et al. 2022, PNAS Nexus 1 (pgac039).
"""

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import numpy as np
from jaxtyping import Float, Integer

from .chance import Score, as_points, some_rows
from .neighbours import check_states

_BLOCK = 128


@runtime_checkable
class Space(Protocol):
    """A description of the images, as distances between them."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def from_rows(self, rows: Integer[np.ndarray, " b"]) -> Float[np.ndarray, "b n"]:
        """Distances of some images to all, a new array. Only their order matters, and ties."""
        ...


@final
@dataclass(frozen=True)
class Points:
    """Images as points `[n, d]` of Euclidean space: a latent, or the defocus as one column."""

    points: Float[np.ndarray, "n d"]

    def __post_init__(self):
        as_points(self.points, "points")

    def __len__(self) -> int:
        return len(self.points)

    def from_rows(self, rows: Integer[np.ndarray, " b"]) -> Float[np.ndarray, "b n"]:
        from scipy.spatial.distance import cdist

        # Not by a matrix product: points that are equal must be at a distance of exactly 0.
        points = np.asarray(self.points, np.float64)
        return cdist(points[rows], points, "sqeuclidean")


@final
@dataclass(frozen=True)
class Labelled:
    """Images as members of states: `distances` `[s, s]` between states, `state` `[n]`."""

    distances: Float[np.ndarray, "s s"]
    state: Integer[np.ndarray, " n"]

    def __post_init__(self):
        check_states(self.distances, self.state)

    def __len__(self) -> int:
        return len(self.state)

    def from_rows(self, rows: Integer[np.ndarray, " b"]) -> Float[np.ndarray, "b n"]:
        # Distances that are equal by symmetry differ by rounding.
        rounded = np.round(self.distances / max(self.distances.max(), np.finfo(float).tiny), 9)
        return rounded[self.state[rows]][:, self.state]


def viewing_directions(rotation: Float[np.ndarray, "n 3 3"]) -> Points:
    """Images by the direction of the beam in the molecule: the last row of `R`.

    Chords of the sphere, whose order is that of the angles.
    """
    return Points(rotation[:, 2, :])


def information_imbalance(first: Space, second: Space, queries: int = 5000, seed: int = 0) -> Score:
    """`Δ(first → second) = 2/n <rank in second of the nearest neighbour in first>`.

    - `queries`: images whose neighbour is looked for among all n; where there are more, they are
      drawn by `seed`. The error of the mean is then below `1.2 / sqrt(queries)`.

    0 (exactly `2/n`) at best, better the smaller; chance is 1 exactly. Ties, of which states have
    many, are averaged over in closed form: over all neighbours that are equally near in `first`,
    each with the mean rank of its ties in `second`. So S equal classes tell `1/S` of themselves.

    Raises `ValueError` where the two are not of the same images.
    """
    size = len(first)
    if size != len(second) or size < 3:
        raise ValueError(
            f"Both must describe the same images, 3 at least. Got {size} and {len(second)}."
        )
    rows = some_rows(size, queries, seed)
    total = 0.0
    for block in np.split(rows, range(_BLOCK, len(rows), _BLOCK)):
        total += _ranks(first.from_rows(block), second.from_rows(block), block).sum()
    return Score(value=float(2 / size * total / len(rows)), chance=1.0)


def _ranks(first, second, rows) -> Float[np.ndarray, " b"]:
    here = np.arange(len(rows))
    first[here, rows] = np.inf
    second[here, rows] = np.inf
    tied = first == first.min(axis=1, keepdims=True)
    nearest = np.argmax(tied, axis=1)
    reference = second[here, nearest][:, None]
    # 1 + those nearer + half of the others that are as near.
    ranks = (second < reference).sum(1) + 0.5 * ((second == reference).sum(1) + 1)
    for row in np.flatnonzero(tied.sum(axis=1) > 1):
        ordered, values = np.sort(second[row]), np.sort(second[row, tied[row]])
        below = np.searchsorted(ordered, values, "left")
        ranks[row] = np.mean(below + np.searchsorted(ordered, values, "right") + 1) / 2
    return ranks
