"""Voxels of a map as points with mass, sliced by a matrix product."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .mixture import AbstractMixture, Change
from .separable import half_plane, separable_sum
from .splat import Splat
from .splat_density import laid_down
from .voxel_cloud import VoxelCloud, changed_points, example_points
from .wave_packets import plane_waves


class VoxelWaves(AbstractMixture):
    """The points of `VoxelCloud`; slices `E_y diag(a) E_xᵀ` of their plane waves, exact.

    `2 j n²` operations in one product, where an accelerator is at home and scattering is not. On a
    CPU `VoxelCloud` is faster (see `splat.py`).
    """

    positions: Float[Array, "j 3"]
    amplitudes: Float[Array, " j"]
    chunk: int = eqx.field(static=True, default=4096)  # points per product: bounds the memory
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        del latent
        half = grid.size // 2
        frame = rotation[:2] / grid.length
        turns = jnp.matmul(self.positions, frame.T, precision="highest")
        columns = jnp.column_stack([turns, self.amplitudes])

        def factors(rows):
            x_turns, y_turns, masses = rows.T
            return plane_waves(half, y_turns) * masses, plane_waves(half, x_turns)

        plane = half_plane(separable_sum(columns, factors, half, self.chunk))
        return plane * jnp.asarray(grid.inside(), self.amplitudes.dtype)

    def density(self, latent, grid):
        del latent
        return laid_down(self.amplitudes, self.positions, Splat(), grid)

    def prepare(self, grid):
        return self

    def changed(self, change: Change) -> "VoxelWaves":
        """`ValueError` for a change of widths: a voxel has none."""
        positions, amplitudes = changed_points(self.positions, self.amplitudes, change)
        return VoxelWaves(positions=positions, amplitudes=amplitudes, chunk=self.chunk)


def as_waves(cloud: VoxelCloud) -> VoxelWaves:
    """The same points, for accelerators."""
    return VoxelWaves(positions=cloud.positions, amplitudes=cloud.amplitudes)


def example(key, grid: FourierGrid) -> VoxelWaves:
    """729 points in two chunks; found by the law tests."""
    positions, amplitudes = example_points(key, grid)
    return VoxelWaves(positions=positions, amplitudes=amplitudes, chunk=512)
