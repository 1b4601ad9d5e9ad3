"""Tetrahedra over a region of space, in each of which a displacement is linear.

Cubes of a lattice, each cut into five tetrahedra: one on its four even corners and one about each
of the odd ones, even being where the numbers of the lattice add up to an even number. Neighbouring
cubes are mirror images of each other, their faces are cut along one diagonal, and the whole is
continuous. No mesher is needed. (Punjani & Fleet 2023, Nat. Methods 20, use any mesh.)
"""

import itertools
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_WITHIN = 1e-4  # of a barycentric weight: faces belong to their cells


class TetrahedralMesh(eqx.Module):
    """Cells of four vertices each.

    - `vertices`: Å; `cells`: rows of them; `volumes`: of cells, Å³;
    - `slopes`: `∇λ` of the barycentric weights of each cell's vertices, 1/Å.
    """

    vertices: Float[Array, "v 3"]
    cells: Int[Array, "c 4"]
    slopes: Float[Array, "c 4 3"]
    volumes: Float[Array, " c"]

    def stretches(self, displacement: Float[Array, "v 3"]) -> Float[Array, "c 3 3"]:
        """`F = I + Σ_v u_v ∇λ_vᵀ` of each cell where vertices move by `displacement`, Å."""
        change = jnp.zeros_like(self.slopes[:, :3])
        for corner in range(4):
            moved = displacement[self.cells[:, corner]]
            change = change + moved[:, :, None] * self.slopes[:, corner, None, :]
        return jnp.eye(3, dtype=change.dtype) + change


class Location(NamedTuple):
    """Of points: the cell they are in, and the barycentric weights of its vertices."""

    cell: Int[np.ndarray, " j"]
    weights: Float[np.ndarray, "j 4"]


def lattice_mesh(points: Float[np.ndarray, "j 3"], edge: float) -> TetrahedralMesh:
    """The cubes of side `edge` (Å) that hold any of `points`, cut into tetrahedra.

    Raises `ValueError` for an edge that is not positive.
    """
    if not edge > 0:
        raise ValueError(f"`edge` of a mesh is a positive length in Å. Got {edge}.")
    cubes = np.unique(np.floor(points / edge).astype(np.int64), axis=0)
    corners = cubes[:, None, None] + _TETRAHEDRA[cubes.sum(axis=1) % 2]
    places, cells = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return mesh_of(places * edge, cells.reshape(-1, 4))


def mesh_of(vertices: Float[np.ndarray, "v 3"], cells: Int[np.ndarray, "c 4"]) -> TetrahedralMesh:
    """Any mesh. Raises `ValueError` where a cell is flat."""
    sides = vertices[cells[:, 1:]] - vertices[cells[:, :1]]
    volumes = np.abs(np.linalg.det(sides)) / 6
    if not volumes.min() > 1e-9 * volumes.max():
        raise ValueError(f"Cell {volumes.argmin()} of the mesh is flat.")
    three = np.linalg.inv(sides).swapaxes(1, 2)
    slopes = np.concatenate([-three.sum(axis=1, keepdims=True), three], axis=1)
    real = lambda values: jnp.asarray(values, jnp.result_type(float))
    return TetrahedralMesh(real(vertices), jnp.asarray(cells), real(slopes), real(volumes))


def located(mesh: TetrahedralMesh, points: Float[np.ndarray, "j 3"]) -> Location:
    """Where points (Å) are in the mesh. Raises `ValueError` where one is in no cell."""
    from scipy.spatial import KDTree

    vertices, cells = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.cells)
    slopes = np.asarray(mesh.slopes, np.float64)
    middles = vertices[cells].mean(axis=1)
    # A point is in one of the cells whose middle is nearest; of a cube's five, and of the cubes
    # about it, ten are enough.
    count = min(_NEAREST, len(cells))
    near = KDTree(middles).query(points, count)[1].reshape(len(points), count)
    best, weights = np.zeros(len(points), int), np.full((len(points), 4), -np.inf)
    for cell in near.T:
        offset = points - middles[cell]
        found = 0.25 + np.einsum("jca,ja->jc", slopes[cell], offset)
        better = found.min(axis=1) > weights.min(axis=1)
        best, weights = np.where(better, cell, best), np.where(better[:, None], found, weights)
    worst = weights.min(axis=1)
    if worst.min() < -_WITHIN:
        outside = points[worst.argmin()]
        raise ValueError(
            f"{np.sum(worst < -_WITHIN)} of {len(points)} points are outside the mesh, the "
            f"farthest at {np.round(outside, 1)} Å: make the mesh of a wider mask."
        )
    return Location(best, weights)


_NEAREST = 16
_EVEN = [corner for corner in itertools.product((0, 1), repeat=3) if sum(corner) % 2 == 0]


def _cube() -> Int[np.ndarray, "2 5 4 3"]:
    """Corners of the five tetrahedra of a cube whose first corner is even, and of one that is
    odd."""
    middle = np.array(_EVEN)
    odd = 1 - middle
    about = [np.array([o, *middle[np.abs(middle - o).sum(axis=1) == 1]]) for o in odd]
    even = np.stack([middle, *about])
    mirrored = even.copy()
    mirrored[..., 0] = 1 - mirrored[..., 0]
    return np.stack([even, mirrored])


_TETRAHEDRA = _cube()


def edge_for(points: Float[np.ndarray, "j 3"], spacing: float, cells: int) -> float:
    """The edge (Å) at which cubes that hold `points`, `spacing` apart, make about `cells` cells;
    at least two voxels."""
    low, high = 2 * spacing, 2 * spacing * max(len(points), 8) ** (1 / 3)
    for _ in range(20):
        edge = 0.5 * (low + high)
        count = 5 * len(np.unique(np.floor(points / edge), axis=0))
        low, high = (edge, high) if count > cells else (low, edge)
    return high


def cell_means(location: Location, values: Float[np.ndarray, " j"], cells: int):
    """Mean over the points in each of `cells` cells; 0 where there is none."""
    count = np.bincount(location.cell, minlength=cells)
    return np.bincount(location.cell, values, cells) / np.maximum(count, 1)
