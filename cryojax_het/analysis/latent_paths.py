"""Paths through a latent space, for maps along them: along an axis, or where images are."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .chance import as_points, some_rows
from .density import LatentPosteriors
from .posterior_distances import squared_distances


def component_path(
    latent: Float[np.ndarray, "n d"], component: int, points: int
) -> Float[np.ndarray, "m d"]:
    """`points` evenly from the 5th to the 95th percentile of one coordinate (from 0), the others
    at their means.

    Raises `ValueError` where there is no such coordinate, or less than two points are asked for.
    """
    values = as_points(latent, "latent")
    if not 0 <= component < values.shape[1] or points < 2:
        raise ValueError(
            f"Component {component + 1} of {values.shape[1]} at {points} points: components are "
            "counted from 1, and a path has 2 points or more."
        )
    low, high = np.quantile(values[:, component], (0.05, 0.95))
    path = np.tile(values.mean(axis=0), (points, 1))
    path[:, component] = np.linspace(low, high, points)
    return path


@final
@dataclass(frozen=True, kw_only=True)
class GeodesicPath:
    """`images`: the rows that the shortest path visits; `latent`: points evenly along it."""

    images: Int[np.ndarray, " v"]
    latent: Float[np.ndarray, "m d"]


@final
@dataclass(frozen=True, kw_only=True)
class DensityGeodesic:
    """Shortest paths over the graph of nearest images that keep to where images are dense.

    A step from image i to its neighbour j costs `D_ij^power`, with
    `D_ij² = (m_i - m_j)ᵀ (C_i + C_j)⁻¹ (m_i - m_j)`: differences count by how well the images tell
    them. With a power above 1 many short steps cost less than a long one, so that paths follow the
    density: the cost approaches `∫ p^((1 - power)/d) ds` (Hwang, Damelin & Hero 2016, Ann. Appl.
    Probab. 26), with no estimate of p in between.

    - `neighbours`: of each image in the graph; doubled until the ends are connected.
    - `limit`: images in the graph at most, drawn by `seed`; the ends always are.
    """

    neighbours: int = 15
    power: float = 3.0
    limit: int = 20000
    seed: int = 0

    def between(
        self, posteriors: LatentPosteriors, start: int, end: int, points: int
    ) -> GeodesicPath:
        """The path from image `start` to image `end` (rows), `points` evenly along it.

        Inner nodes are averaged with their neighbours on the path: single images scatter about it
        by their noise. Raises `ValueError` where the ends are no two rows.
        """
        count = len(posteriors)
        if start == end or not (0 <= start < count and 0 <= end < count):
            raise ValueError(
                f"A path leads from one image to another, rows 0 to {count - 1}. "
                f"Got {start} and {end}."
            )
        rows = np.union1d(some_rows(count, self.limit, self.seed), [start, end])
        first, last = np.searchsorted(rows, [start, end])
        visited = self._visited(posteriors.take(rows), int(first), int(last))
        nodes = _smoothed(posteriors.mean[rows[visited]].astype(np.float64))
        return GeodesicPath(images=rows[visited], latent=evenly(nodes, points))

    def _visited(self, posteriors, first, last) -> Int[np.ndarray, " v"]:
        from scipy.sparse.csgraph import dijkstra

        neighbours = min(self.neighbours, len(posteriors) - 1)
        while True:
            graph = self._graph(posteriors, neighbours)
            cost, before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
            if np.isfinite(cost[last]):
                break
            # All others as neighbours connect everything: this ends.
            neighbours = min(2 * neighbours, len(posteriors) - 1)
        visited = [last]
        while visited[-1] != first:
            visited.append(int(before[visited[-1]]))
        return np.asarray(visited[::-1], np.int64)

    def _graph(self, posteriors, neighbours):
        from scipy.sparse import csr_array
        from scipy.spatial import KDTree

        mean = np.asarray(posteriors.mean, np.float64)
        near = KDTree(mean).query(mean, neighbours + 1)[1]
        one = np.repeat(np.arange(len(mean)), neighbours + 1)
        other = near.ravel()
        one, other = one[one != other], other[one != other]
        length = np.sqrt(squared_distances(posteriors, posteriors, one, other))
        # A zero would be no edge at all.
        cost = np.maximum(length, 1e-6) ** self.power
        return csr_array((cost, (one, other)), shape=(len(mean),) * 2)


def _smoothed(nodes: Float[np.ndarray, "v d"]) -> Float[np.ndarray, "v d"]:
    smooth = nodes.copy()
    for place in range(1, len(nodes) - 1):
        # As far to one side as to the other, so that the path is not drawn towards an end.
        reach = min(2, place, len(nodes) - 1 - place)
        smooth[place] = nodes[place - reach : place + reach + 1].mean(axis=0)
    return smooth


def evenly(nodes: Float[np.ndarray, "v d"], points: int) -> Float[np.ndarray, "m d"]:
    """`points` evenly along the line through the nodes. `ValueError` for less than 2."""
    if points < 2:
        raise ValueError(f"A path has 2 points or more. Got {points}.")
    lengths = np.linalg.norm(np.diff(nodes, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0, along[-1], points)
    return np.stack([np.interp(wanted, along, column) for column in nodes.T], axis=1)
