"""A few rigid densities on one grid; an image is of one of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from . import voxels
from .base import AbstractVolume
from .interpolation import central_slice
from .kernel import Kernel, quadratic


class ClassVolumes(AbstractVolume):
    """`V(r; z) = Σ_k z_k V_k(r)`: `z` are class weights, one 1 and the rest 0 selects a class.

    `voxels` `[k, z, y, x]`, centred, `spacing` Å apart. `kernel` as for `Voxels`.
    """

    voxels: Float[Array, "k n n n"]
    spacing: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    kernel: Kernel = eqx.field(static=True, default=quadratic())

    @property
    def latent_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of classes."""
        return self.voxels.shape[0]

    def one(self, number: int) -> voxels.Voxels:
        """The volume of one class."""
        return voxels.Voxels(self.voxels[number], self.spacing, self.kernel)

    def slice(self, latent, rotation, grid):
        return self.prepare(grid).slice(latent, rotation, grid)

    def density(self, latent, grid):
        return voxels.crop_voxels(jnp.tensordot(latent, self.voxels, axes=1), grid.size)

    def prepare(self, grid):
        """All transforms in one table, so that the slices of all classes share their taps."""
        del grid
        # One after another: the padded transforms of all at once would be twice the table.
        transform = jax.lax.map(lambda v: voxels.half_transform(v, self.kernel), self.voxels)
        transform = jnp.moveaxis(transform, 0, -1) * self.spacing**3
        table = jnp.stack([transform.real, transform.imag], axis=-1)
        return FourierClasses(table.reshape(*transform.shape[:3], -1), self)


class FourierClasses(AbstractVolume):
    """The oversampled half-transforms of `source`, ready to slice."""

    table: Float[Array, "z y x c"]  # real and imaginary part of each class in turn
    source: ClassVolumes

    @property
    def latent_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of classes."""
        return self.source.latent_size

    def planes(self, rotation: Float[Array, "3 3"], grid: FourierGrid) -> Float[Array, "y x k 2"]:
        """The slice of each class: real and imaginary parts."""
        source = self.source
        frame = voxels.table_frame(rotation, grid, source.spacing, self.table.shape[0])
        parts = central_slice(self.table, frame, grid.size, source.kernel)
        return parts.reshape(*parts.shape[:-1], -1, 2)

    def slice(self, latent, rotation, grid):
        mixed = jnp.einsum(
            "yxkp,k->yxp", self.planes(rotation, grid), latent, precision="highest"
        )
        return jax.lax.complex(mixed[..., 0], mixed[..., 1])

    def density(self, latent, grid):
        return self.source.density(latent, grid)

    def prepare(self, grid):
        return self


def example(key, grid: FourierGrid) -> ClassVolumes:
    """Three classes of six blobs each; found by the law tests."""
    every = [voxels.example(k, grid).voxels for k in jax.random.split(key, 3)]
    return ClassVolumes(voxels=jnp.stack(every), spacing=grid.pixel_size)
