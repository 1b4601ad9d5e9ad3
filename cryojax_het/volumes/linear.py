"""A mean and principal volumes, each of which may be any other volume."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from . import voxels
from .base import AbstractVolume
from .interpolation import central_slice
from .kernel import Kernel


class LinearVolume(AbstractVolume):
    """`V(r; z) = mean(r) + Σ_k z_k components_k(r)`.

    `components` is one volume whose arrays carry a leading axis of `k = latent_size`; neither it
    nor `mean` has a latent of its own. Slices are summed, not densities: `V(·; z)` of an image is
    never formed.

    - `covariance`: what is uncertain of mean and components, in this order: of one Fourier
      coefficient of each, mean over each shell of a box as large as that of the images, in
      (density·Å³)². None: known.
    """

    mean: AbstractVolume
    components: AbstractVolume
    latent_size: int = eqx.field(static=True)
    covariance: Float[Array, "s q q"] | None = None

    def slice(self, latent, rotation, grid):
        none = jnp.zeros(0, latent.dtype)
        planes = eqx.filter_vmap(lambda v: v.slice(none, rotation, grid))(self.components)
        return self.mean.slice(none, rotation, grid) + jnp.tensordot(latent, planes, axes=1)

    def density(self, latent, grid):
        none = jnp.zeros(0, latent.dtype)
        terms = eqx.filter_vmap(lambda v: v.density(none, grid))(self.components)
        return self.mean.density(none, grid) + jnp.tensordot(latent, terms, axes=1)

    def prepare(self, grid):
        mean = self.mean.prepare(grid)
        components = eqx.filter_vmap(lambda v: v.prepare(grid))(self.components)
        if isinstance(mean, voxels.FourierVoxels):  # one table, whose slices share their taps
            return FourierLinear.of(mean, components, self)
        return LinearVolume(
            mean=mean,
            components=components,
            latent_size=self.latent_size,
            covariance=self.covariance,
        )


class FourierLinear(AbstractVolume):
    """The mean and components of `source` in one table, so that their slices share their taps."""

    table: Float[Array, "z y x c"]  # real and imaginary parts of the mean, then of each component
    spacing: Float[Array, ""]
    source: LinearVolume
    kernel: Kernel = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)
    covariance: Float[Array, "s q q"] | None = None  # see `LinearVolume`

    @classmethod
    def of(
        cls,
        mean: voxels.FourierVoxels,
        components: voxels.FourierVoxels,
        source: LinearVolume,
    ) -> "FourierLinear":
        """From the prepared parts; `components` carries a leading axis. All of one spacing.

        Raises `ValueError` where mean and components differ in box or kernel.
        """
        shapes = mean.transform.shape, components.transform.shape[1:]
        if shapes[0] != shapes[1] or mean.source.kernel != components.source.kernel:
            raise ValueError(
                "The mean and the components must be voxels of one box and one kernel. Got tables "
                f"of {shapes[0][:3]} and {shapes[1][:3]} samples, read by {mean.source.kernel} and "
                f"{components.source.kernel}."
            )
        rest = jnp.moveaxis(components.transform[..., 0], 0, -1)
        every = jnp.concatenate([mean.transform, rest], axis=-1)
        table = jnp.stack([every.real, every.imag], axis=-1)
        table = table.reshape(*every.shape[:3], -1)
        own = mean.source
        return cls(
            table=table,
            spacing=own.spacing,
            source=source,
            kernel=own.kernel,
            latent_size=source.latent_size,
            covariance=source.covariance,
        )

    def leading(self, count: int) -> "FourierLinear":
        """The mean and the first `count` components alone."""
        kept = slice(0, count + 1)
        return FourierLinear(
            table=self.table[..., : 2 * count + 2],
            covariance=None if self.covariance is None else self.covariance[:, kept, kept],
            spacing=self.spacing,
            source=self.source,
            kernel=self.kernel,
            latent_size=count,
        )

    def planes(self, rotation: Float[Array, "3 3"], grid: FourierGrid) -> Float[Array, "y x c 2"]:
        """Slices of the mean and of each component apart: real and imaginary parts."""
        parts = self._parts(rotation, grid)
        return parts.reshape(*parts.shape[:-1], -1, 2)

    def _parts(self, rotation, grid):
        frame = voxels.table_frame(rotation, grid, self.spacing, self.table.shape[0])
        return central_slice(self.table, frame, grid.size, self.kernel)

    def slice(self, latent, rotation, grid):
        parts = self._parts(rotation, grid)
        # One real product mixes and separates at once: [pixels, (channel, part)] to [pixels, part].
        weights = jnp.concatenate([jnp.ones(1, latent.dtype), latent]).astype(parts.dtype)
        mixing = jnp.kron(weights[:, None], jnp.eye(2, dtype=parts.dtype))
        mixed = jnp.matmul(parts.reshape(-1, parts.shape[-1]), mixing, precision="highest")
        mixed = mixed.reshape(*parts.shape[:-1], 2)
        return jax.lax.complex(mixed[..., 0], mixed[..., 1])

    def density(self, latent, grid):
        return self.source.density(latent, grid)

    def prepare(self, grid):
        return self


def linear_of(
    volumes: Float[Array, "q n n n"],
    spacing: Float[Array, ""],
    kernel: Kernel,
    covariance: Float[Array, "s q q"] | None = None,
) -> LinearVolume:
    """The linear volume of a mean and components, stacked in this order, and their covariance."""
    spacings = jnp.broadcast_to(spacing, (len(volumes) - 1,))
    mean = voxels.Voxels(voxels=volumes[0], spacing=spacing, kernel=kernel)
    parts = eqx.filter_vmap(lambda v, a: voxels.Voxels(voxels=v, spacing=a, kernel=kernel))
    components = parts(volumes[1:], spacings)
    return LinearVolume(
        mean=mean, components=components, latent_size=len(volumes) - 1, covariance=covariance
    )


def stacked(volume: LinearVolume) -> Float[Array, "q n n n"]:
    """Voxels of the mean, then of the components."""
    mean, components = volume.mean, volume.components
    assert isinstance(mean, voxels.Voxels)
    assert isinstance(components, voxels.Voxels)
    return jnp.concatenate([mean.voxels[None], components.voxels])


def example(key, grid: FourierGrid) -> LinearVolume:
    """A mean and three components on voxels; found by the law tests."""
    mean_key, *keys = jax.random.split(key, 4)
    components = eqx.filter_vmap(lambda k: voxels.example(k, grid))(jnp.stack(keys))
    mean = voxels.example(mean_key, grid)
    return LinearVolume(mean=mean, components=components, latent_size=3)
