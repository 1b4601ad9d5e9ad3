"""A few rigid densities on one grid; an image is of one of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .base import AbstractVolume
from .interpolation import central_slice
from .kernel import Kernel, quadratic
from .voxels import crop_voxels, half_transform, table_frame
from .voxels import example as one_volume


class ClassVolumes(AbstractVolume):
    """`V(r; z) = Σ_k z_k V_k(r)`: `z` are class weights, one 1 and the rest 0 selects a class.

    `voxels` `[k, z, y, x]`, centred, `spacing` Å apart. `kernel` as for `Voxels`.
    """

    voxels: Float[Array, "k n n n"]
    spacing: Float[Array, ""]
    kernel: Kernel = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    def __init__(self, voxels, spacing, kernel: Kernel | None = None):
        self.voxels, self.spacing = voxels, jnp.asarray(spacing)
        self.kernel = quadratic() if kernel is None else kernel
        self.latent_size = voxels.shape[0]

    def slice(self, latent, rotation, grid):
        return self.prepare(grid).slice(latent, rotation, grid)

    def density(self, latent, grid):
        return crop_voxels(jnp.tensordot(latent, self.voxels, axes=1), grid.size)

    def prepare(self, grid):
        """All transforms in one table, so that the slices of all classes share their taps."""
        del grid
        # One after another: the padded transforms of all at once would be twice the table.
        transform = jax.lax.map(lambda v: half_transform(v, self.kernel), self.voxels)
        transform = jnp.moveaxis(transform, 0, -1) * self.spacing**3
        table = jnp.stack([transform.real, transform.imag], axis=-1)
        table = table.reshape(*transform.shape[:3], -1)
        return FourierClasses(table=table, source=self, latent_size=self.latent_size)


class FourierClasses(AbstractVolume):
    """The oversampled half-transforms of `source`, ready to slice."""

    table: Float[Array, "z y x c"]  # real and imaginary part of each class in turn
    source: ClassVolumes
    latent_size: int = eqx.field(static=True)

    def planes(self, rotation: Float[Array, "3 3"], grid: FourierGrid) -> Float[Array, "y x k 2"]:
        """The slice of each class: real and imaginary parts."""
        source = self.source
        frame = table_frame(rotation, grid, source.spacing, self.table.shape[0])
        parts = central_slice(self.table, frame, grid.size, source.kernel)
        return parts.reshape(*parts.shape[:-1], -1, 2)

    def slice(self, latent, rotation, grid):
        mixed = jnp.einsum("yxkp,k->yxp", self.planes(rotation, grid), latent, precision="highest")
        return jax.lax.complex(mixed[..., 0], mixed[..., 1])

    def density(self, latent, grid):
        return self.source.density(latent, grid)

    def prepare(self, grid):
        return self


def example(key, grid: FourierGrid) -> ClassVolumes:
    """Three classes of six blobs each; found by the law tests."""
    every = [one_volume(k, grid).voxels for k in jax.random.split(key, 3)]
    return ClassVolumes(voxels=jnp.stack(every), spacing=grid.pixel_size)
