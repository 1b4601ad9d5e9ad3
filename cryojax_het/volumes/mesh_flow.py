"""A deformation field that is linear in each tetrahedron of a mesh."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .flow import AbstractFlow
from .latent_modes import AbstractLatentModes, network_modes
from .tetrahedral_mesh import TetrahedralMesh, cell_means, lattice_mesh, located

_SOLVENT = 0.1  # stiffness of cells without density
_FIRM = 90  # percentile of the densities of cells that have any: of stiffness 1, as denser ones


class MeshFlow(AbstractFlow):
    """`u(r) = Σ_v λ_v(r) m_v(z)` over the four vertices `v` of the cell that holds `r`.

    - `cell`, `weights`: of the points, which cell holds each and the `λ` of its vertices;
    - `stiffness`: of each cell, between 0.1 in solvent and 1; `motion`: of the vertices.

    (Punjani & Fleet 2023, Nat. Methods 20: 3DFlex.)
    """

    mesh: TetrahedralMesh
    stiffness: Float[Array, " c"]
    cell: Int[Array, " j"]
    weights: Float[Array, "j 4"]
    motion: AbstractLatentModes
    latent_size: int = eqx.field(static=True)

    def __init__(self, mesh, stiffness, cell, weights, motion: AbstractLatentModes):
        self.mesh, self.stiffness, self.motion = mesh, stiffness, motion
        self.cell, self.weights = cell, weights
        self.latent_size = motion.latent_size

    def point_modes(self):
        corners = self.mesh.cells[self.cell]
        pairs = zip(self.weights.T, corners.T, strict=True)
        return jnp.asarray(sum(w[:, None, None] * self.motion.modes[row] for w, row in pairs))

    def at(self, points):
        found = located(self.mesh, points)
        weights = jnp.asarray(found.weights, self.weights.dtype)
        return MeshFlow(self.mesh, self.stiffness, jnp.asarray(found.cell), weights, self.motion)

    def stretches(self, latent):
        """Of every cell."""
        return self.mesh.stretches(self.motion.vectors(latent))

    def point_stretches(self, latent):
        return self.stretches(latent)[self.cell]


def mesh_flow(
    mesh: TetrahedralMesh,
    points: Float[np.ndarray, "j 3"],
    masses: Float[np.ndarray, " j"],
    motion: AbstractLatentModes,
) -> MeshFlow:
    """Of `points` (Å), with cells as stiff as the mean of the points' masses in them says.

    Raises `ValueError` where a point is outside the mesh, or where `motion` is not of as many
    vectors as the mesh has vertices.
    """
    if len(motion.modes) != len(mesh.vertices):
        raise ValueError(
            f"The mesh has {len(mesh.vertices)} vertices. Got motion of {len(motion.modes)}."
        )
    found = located(mesh, points)
    mean = cell_means(found, np.maximum(masses, 0), len(mesh.cells))
    firm = np.percentile(mean[mean > 0], _FIRM) if np.any(mean > 0) else 1.0
    stiffness = _SOLVENT + (1 - _SOLVENT) * np.minimum(mean / firm, 1)
    real = lambda values: jnp.asarray(values, mesh.vertices.dtype)
    return MeshFlow(mesh, real(stiffness), jnp.asarray(found.cell), real(found.weights), motion)


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Gaussians in a coarse mesh, with a network past its start; found by the law tests."""
    reference = example_reference(key, grid)
    points = np.asarray(jax.device_get(reference.positions))
    mesh = lattice_mesh(points, 0.25 * float(grid.length))
    motion = network_modes(key, len(mesh.vertices), 2, (8, 2))
    moved = jax.random.normal(key, motion.weights.shape)
    motion = eqx.tree_at(lambda m: m.weights, motion, moved)
    masses = np.asarray(jax.device_get(reference.amplitudes))
    return DisplacedMixture(reference, mesh_flow(mesh, points, masses, motion))
