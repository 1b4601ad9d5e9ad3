"""A rigid density on a grid, sliced in Fourier space."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ..imaging.grid import FourierGrid
from .base import AbstractVolume
from .interpolation import MARGIN, central_slice
from .kernel import Kernel, quadratic


class Voxels(AbstractVolume):
    """Voxels `[z, y, x]`, centred, `spacing` Å apart. Has no latent.

    `kernel` chooses how slices are read off the oversampled transform: `quadratic()` or `cubic()`.
    """

    voxels: Float[Array, "n n n"]
    spacing: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    kernel: Kernel = eqx.field(static=True, default=quadratic())
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        return self.prepare(grid).slice(latent, rotation, grid)

    def density(self, latent, grid):
        """At this volume's own box: Fourier-cropped where `grid` is coarser."""
        del latent
        return crop_voxels(self.voxels, grid.size)

    def prepare(self, grid):
        """Correct for the kernel, pad and transform, once for any number of slices."""
        del grid
        transform = half_transform(self.voxels, self.kernel) * self.spacing**3
        return FourierVoxels(transform=transform[..., None], source=self)


class FourierVoxels(AbstractVolume):
    """The oversampled half-transform of `Voxels`, ready to slice."""

    transform: Complex[Array, "z y x 1"]
    source: Voxels
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        del latent
        frame = table_frame(rotation, grid, self.source.spacing, self.transform.shape[0])
        return central_slice(self.transform, frame, grid.size, self.source.kernel)[..., 0]

    def density(self, latent, grid):
        return self.source.density(latent, grid)

    def prepare(self, grid):
        return self


def table_frame(
    rotation: Float[Array, "3 3"], grid: FourierGrid, spacing: Float[Array, ""], side: int
) -> Float[Array, "2 3"]:
    """Steps of a table of `side` rows made by one step of the image's `kx` and of its `ky`."""
    return rotation[:2] * ((side - 1 - 2 * MARGIN) * spacing / grid.length)


def half_transform(voxels: Float[Array, "n n n"], kernel: Kernel) -> Complex[Array, "z y x"]:
    """Table for `central_slice` of one volume of unit spacing: corrected, padded, transformed."""
    n = voxels.shape[0]
    m = kernel.padded_size(n)
    correction = jnp.asarray(
        kernel.correction(2 * np.pi * (np.arange(n) - n // 2) / m), voxels.dtype
    )
    corrected = voxels * correction[:, None, None] * correction[:, None] * correction
    transform = jnp.fft.rfftn(corrected, s=(m, m, m))
    return with_margin(_centred(transform, n // 2))


def voxels_of_half_transform(
    table: Complex[Array, "z y x"], size: int, kernel: Kernel
) -> Float[Array, "n n n"]:
    """The exact adjoint of `half_transform`, with respect to real inner products."""
    transposed = jax.linear_transpose(
        lambda v: half_transform(v, kernel), jax.ShapeDtypeStruct((size,) * 3, table.real.dtype)
    )
    return transposed(table.conj())[0]


def with_margin(transform: Complex[Array, "m m h"]) -> Complex[Array, "z y x"]:
    """Zero frequency in the middle of z and y, and `MARGIN` samples more at each end."""
    m = transform.shape[0]
    rows = np.arange(-(m // 2) - MARGIN, m // 2 + MARGIN + 1)
    opposite = lambda x: transform[-rows % m][:, -rows % m][:, :, x].conj()
    middle = transform[rows % m][:, rows % m]
    before = opposite(np.arange(MARGIN, 0, -1))
    after = opposite(m // 2 - 1 - np.arange(MARGIN))
    return jnp.concatenate([before, middle, after], axis=2)


def _centred(transform, centre):
    """Moves the phase origin from the corner to voxel `centre`, one axis at a time."""
    m = transform.shape[0]
    full = np.exp(2j * np.pi * np.fft.fftfreq(m) * centre)
    half = np.exp(2j * np.pi * np.arange(m // 2 + 1) / m * centre)
    cast = lambda phase: jnp.asarray(phase, transform.dtype)
    return transform * cast(full)[:, None, None] * cast(full)[:, None] * cast(half)


def crop_voxels(voxels: Float[Array, "n n n"], size: int) -> Float[Array, "m m m"]:
    """Fourier-crop a centred volume to `size` voxels over the same box; values keep their unit."""
    n = voxels.shape[0]
    if size == n:
        return voxels
    if size > n:
        raise ValueError(f"`size` must not exceed the volume's {n} voxels. Got {size}.")
    half = size // 2
    keep = np.r_[0:half, n - half : n]
    transform = jnp.fft.rfftn(jnp.fft.ifftshift(voxels))
    cropped = transform[keep][:, keep][:, :, : half + 1]
    return jnp.fft.fftshift(jnp.fft.irfftn(cropped, s=(size,) * 3)) * (size / n) ** 3


def example(key, grid: FourierGrid) -> Voxels:
    """Six Gaussian blobs on voxels; found by the law tests."""
    n = grid.size
    r = (jnp.arange(n) - n // 2) * grid.pixel_size
    centre = jax.random.uniform(key, (6, 3), minval=-0.15, maxval=0.15) * grid.length
    width = 1.5 * grid.pixel_size
    profile = jnp.exp(-((r - centre[..., None]) ** 2) / (2 * width**2))
    voxels = jnp.einsum("jz,jy,jx->zyx", profile[:, 2], profile[:, 1], profile[:, 0])
    return Voxels(voxels=voxels, spacing=grid.pixel_size)
