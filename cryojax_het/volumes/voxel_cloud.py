"""Voxels of a map as points with mass, which whatever moves Gaussians can move.

    V̂(k) = Σ_j a_j exp(-2πi k·r_j)

With `r_j` the voxels of a map and `a_j` their densities times `a³` this is the transform of the
band-limited map, and moved rigidly it is that of the map so moved: nothing is interpolated in
space. A `DisplacedMixture` of one is a deformed map, pushed forward: each voxel keeps its mass, so
that density falls where the field spreads, `V(g(r); z) = V₀(r) / det ∇g(r)`.
"""

import jax
import jax.numpy as jnp
import numpy as np
from equinox import field
from jaxtyping import Array, Float, Int

from ..imaging.grid import FourierGrid
from .mixture import AbstractMixture, Change
from .splat import Splat
from .splat_density import laid_down


class VoxelCloud(AbstractMixture):
    """Points at `positions` (Å) of mass `amplitudes` (density·Å³), laid down on a fine grid.

    Slices are within 0.05 % (see `splat.py`), and gradients by positions, amplitudes and rotation
    are those of the slices as computed, to rounding. The work does not depend on the image's size.
    For accelerators there is `VoxelWaves`.
    """

    positions: Float[Array, "j 3"]
    amplitudes: Float[Array, " j"]
    splat: Splat = Splat()
    latent_size: int = field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        del latent
        # Autodiff of the scatter, batched, was as fast as a rule of our own that reads samples.
        landing = self.splat.landing(self.positions, rotation, grid)
        return self.splat.slice(self.amplitudes, landing, grid)

    def density(self, latent, grid):
        del latent
        return laid_down(self.amplitudes, self.positions, self.splat, grid)

    def prepare(self, grid):
        return self

    def changed(self, change: Change) -> "VoxelCloud":
        """`ValueError` for a change of widths: a voxel has none."""
        positions, amplitudes = changed_points(self.positions, self.amplitudes, change)
        return VoxelCloud(positions=positions, amplitudes=amplitudes, splat=self.splat)


def changed_points(
    positions: Float[Array, "j 3"], amplitudes: Float[Array, " j"], change: Change
) -> tuple[Float[Array, "j 3"], Float[Array, " j"]]:
    """Points after `change`. Raises `ValueError` where it is one of widths."""
    if change.width is not None:
        raise ValueError("Voxels have no width to change: take a displacement without widths.")
    if change.amplitude is not None:
        amplitudes = amplitudes * jnp.exp(change.amplitude)
    return positions + change.displacement, amplitudes


def voxels_within(
    window: Float[np.ndarray, "n n n"], spacing: float
) -> tuple[Int[np.ndarray, " j"], Float[np.ndarray, "j 3"]]:
    """Rows of the raveled map `[z, y, x]` where `window` is above 0, and their (x, y, z) in Å.

    Raises `ValueError` where it is nowhere.
    """
    size = len(window)
    flat = np.flatnonzero(window > 0)
    if not len(flat):
        raise ValueError("The mask is zero everywhere: lower its threshold or give another one.")
    indices = np.stack(np.unravel_index(flat, window.shape)[::-1], axis=1)
    return flat, (indices - size // 2) * spacing


def voxel_cloud(
    voxels: Float[np.ndarray, "n n n"], window: Float[np.ndarray, "n n n"], spacing: float
) -> VoxelCloud:
    """The voxels of a map times `window`, wherever that is above 0; single precision.

    Raises `ValueError` where it is nowhere.
    """
    return cloud_within(voxels * window, window, spacing)


def cloud_within(
    voxels: Float[np.ndarray, "n n n"], window: Float[np.ndarray, "n n n"], spacing: float
) -> VoxelCloud:
    """The voxels as they are, wherever `window` is above 0: of maps that were solved for in it.

    Raises as `voxel_cloud` does.
    """
    flat, positions = voxels_within(window, spacing)
    masses = voxels.ravel()[flat] * spacing**3
    single = lambda values: jnp.asarray(values, jnp.float32)
    return VoxelCloud(positions=single(positions), amplitudes=single(masses))


def example_points(key, grid: FourierGrid) -> tuple[Float[Array, "j 3"], Float[Array, " j"]]:
    """Voxels of two blobs, a little off their places: points and masses, for the law tests."""
    n = grid.size
    axis = jnp.arange(-4, 5) * grid.pixel_size
    z, y, x = jnp.meshgrid(axis, axis, axis, indexing="ij")
    places = jnp.stack([x, y, z], axis=-1).reshape(-1, 3)
    centres = jnp.array([[0.05, 0.0, -0.04], [-0.05, 0.06, 0.02]]) * n * grid.pixel_size
    square = jnp.sum((places - centres[:, None]) ** 2, axis=-1)
    masses = jnp.array([1.0, 0.6]) @ jnp.exp(-square / (2 * (1.5 * grid.pixel_size) ** 2))
    nudge = 0.02 * grid.pixel_size * jax.random.normal(key, places.shape)
    return places + nudge, masses * grid.pixel_size**3


def example(key, grid: FourierGrid) -> VoxelCloud:
    """729 points; found by the law tests."""
    positions, amplitudes = example_points(key, grid)
    return VoxelCloud(positions=positions, amplitudes=amplitudes)
