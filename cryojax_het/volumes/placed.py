"""A volume put somewhere: a region of a composite molecule.

    V(r) = W(r - c),   V̂(k) = Ŵ(k) exp(-2πi k·c)

exactly, at any centre.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from ..imaging.grid import FourierGrid
from ..imaging.image import plane_wave
from .base import AbstractVolume
from .hyper_molecule import HyperMolecule
from .latent_functions.interval import Legendre
from .prolate.basis import prolate_basis
from .prolate.slicing import AtTurnedPlane


class Placed(AbstractVolume):
    """`inner` about `centre`, Å; its latent is that of `inner`."""

    inner: AbstractVolume
    centre: Float[Array, "3"]
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, inner: AbstractVolume, centre: Float[Array, "3"]):
        self.inner, self.centre, self.latent_size = inner, centre, inner.latent_size

    def slice(self, latent, rotation, grid):
        return self.inner.slice(latent, rotation, grid) * seen_from(self.centre, rotation, grid)

    def density(self, latent, grid):
        return moved(self.inner.density(latent, grid), self.centre, grid)

    def prepare(self, grid):
        return Placed(self.inner.prepare(grid), self.centre)


def seen_from(
    centre: Float[Array, "3"], rotation: Float[Array, "3 3"], grid: FourierGrid
) -> Complex[Array, "y x"]:
    """`exp(-2πi k·c)` on the slice of `rotation`: of `c` as the microscope sees it."""
    return plane_wave(jnp.matmul(rotation, centre, precision="highest")[:2], grid)


def moved(
    voxels: Float[Array, "n n n"], shift: Float[Array, "3"], grid: FourierGrid
) -> Float[Array, "n n n"]:
    """Voxels moved by `shift` Å, of what is within the Nyquist frequencies of each axis; the box
    wraps."""
    z, y, x = (_waves(k, s) for k, s in zip((grid.ky, grid.ky, grid.kx), shift[::-1], strict=True))
    transform = jnp.fft.rfftn(voxels) * z[:, None, None] * y[:, None] * x
    return jnp.fft.irfftn(transform, s=voxels.shape)


def _waves(k, shift):
    return jnp.exp(-2j * jnp.pi * k * shift)


def example(key, grid: FourierGrid) -> Placed:
    """A region of two functions of a latent, to one side; found by the law tests."""
    basis = prolate_basis(0.2 * float(grid.length), 0.4 / float(grid.pixel_size), 0.999)
    coefficients = jax.random.normal(key, (basis.size, 3))
    inner = HyperMolecule(coefficients, basis, Legendre(2), AtTurnedPlane.of(basis))
    return Placed(inner, jnp.array([0.08, -0.05, 0.11]) * grid.length)
