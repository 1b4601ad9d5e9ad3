"""A free energy over two latent coordinates, smooth between the nodes it is known at; its wells."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float64, Int

from .density import Density, LatentGrid
from .latent_paths import evenly

CEILING = 12.0  # k_B T: of places where hardly an image is


@final
@dataclass(frozen=True)
class EnergySurface:
    """F = -ln p in k_B T over its least value, at the nodes of a grid, `CEILING` at most; bicubic
    between them.

    Raises `ValueError` for a grid of other than two coordinates, or of less than 4 nodes along one.
    """

    grid: LatentGrid
    energy: Float64[np.ndarray, "a b"]

    def __post_init__(self):
        if len(self.grid.axes) != 2 or min(self.grid.shape) < 4:
            raise ValueError(
                "A surface is over two coordinates of 4 nodes or more. Got nodes "
                f"{self.grid.shape}."
            )

    def spline(self):
        """The bicubic function: called as `f.ev(x, y, dx, dy)`."""
        from scipy.interpolate import RectBivariateSpline

        return RectBivariateSpline(self.grid.axes[0], self.grid.axes[1], self.energy)

    @property
    def step(self) -> float:
        """The smaller distance between nodes along a coordinate."""
        return float(min(axis[1] - axis[0] for axis in self.grid.axes))


def energy_surface(density: Density) -> EnergySurface:
    """Of a density on a grid."""
    energy = np.minimum(density.free_energy(), CEILING).astype(np.float64)
    return EnergySurface(density.grid, energy)


def wells(energy: Float[np.ndarray, "a b"], least: float) -> list[tuple[int, int]]:
    """Nodes of the minima that are `least` or more below the lowest pass to a deeper one, the
    deepest first (which has no deeper one, and always counts).

    By flooding: nodes join their neighbours in order of energy; where two basins meet, the
    shallower one ends, and the pass is where they met.
    """
    order = np.argsort(energy, axis=None, kind="stable")
    basin = np.full(energy.size, -1)
    parent: dict[int, int] = {}
    kept = [int(order[0])]
    for node in order.tolist():
        near = {_root(parent, int(basin[n])) for n in _beside(node, energy.shape) if basin[n] >= 0}
        if not near:
            parent[node] = basin[node] = node
            continue
        first, *others = sorted(near, key=lambda root: (energy.flat[root], root))
        basin[node] = first
        for root in others:
            parent[root] = first
            if energy.flat[node] - energy.flat[root] >= least:
                kept.append(root)
    deepest_first = sorted(kept, key=lambda root: energy.flat[root])
    places = [np.unravel_index(node, energy.shape) for node in deepest_first]
    return [(int(x), int(y)) for x, y in places]


def _root(parent: dict[int, int], node: int) -> int:
    while parent[node] != node:
        node = parent[node]
    return node


def _beside(node: int, shape: tuple[int, ...]) -> list[int]:
    """The up to eight nodes around one."""
    x, y = divmod(node, shape[1])
    rows = range(max(x - 1, 0), min(x + 2, shape[0]))
    columns = range(max(y - 1, 0), min(y + 2, shape[1]))
    return [i * shape[1] + j for i in rows for j in columns if (i, j) != (x, y)]


def widest_channel(
    surface: EnergySurface, start: Int[np.ndarray, " 2"], end: Int[np.ndarray, " 2"], points: int
) -> Float[np.ndarray, "m 2"]:
    """`points` evenly along the path over nodes of the least `∫ exp(F) ds` from `start` to `end`
    (nodes), the one of the largest flux (Berezhkovskii, Hummer & Szabo 2009, J. Chem. Phys. 130).

    Of several passes, it takes the one that most molecules take: a straight line might relax into
    another. Raises `ValueError` where both ends are one node.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    shape, places = surface.energy.shape, surface.grid.points()
    first, last = (int(np.ravel_multi_index(tuple(end), shape)) for end in (start, end))
    if first == last:
        raise ValueError(f"Both ends of the path are at the node {places[first].tolist()}.")
    one = np.repeat(np.arange(len(places)), [len(_beside(n, shape)) for n in range(len(places))])
    other = np.concatenate([_beside(n, shape) for n in range(len(places))])
    weight = np.exp(surface.energy.ravel())
    length = np.linalg.norm(places[one] - places[other], axis=1)
    cost = csr_array((0.5 * (weight[one] + weight[other]) * length, (one, other)))
    before = dijkstra(cost, indices=first, return_predecessors=True)[1]
    visited = [last]
    while visited[-1] != first:
        visited.append(int(before[visited[-1]]))
    return evenly(places[visited[::-1]], points)
