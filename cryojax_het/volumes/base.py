"""The interface that every model of a flexible molecule implements."""

import abc
from typing import Self

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Complex, Float

from ..imaging.grid import FourierGrid


class AbstractVolume(eqx.Module):
    """A differentiable family of 3-D densities `V(r; z)`, indexed by a latent `z`.

    All methods treat one particle; batch with `jax.vmap`. A concrete volume is one file, with its
    class and a function `example(key, grid)` that the law tests find by themselves.
    """

    latent_size: AbstractVar[int]

    @abc.abstractmethod
    def slice(
        self,
        latent: Float[Array, " d"],
        rotation: Float[Array, "3 3"],
        grid: FourierGrid,
    ) -> Complex[Array, "y x"]:
        """Transform of the projection of `V(·; latent)` along the beam.

        - `latent`: the conformation, `[latent_size]`.
        - `rotation`: `L` of the slice `Lᵀ(kx, ky, 0)`: the rotation from the molecule's frame to
          the microscope's, times the magnification where there is one.
        - `grid`: the frequencies wanted. It keeps the axes apart, so that separable models need
          not see a list of points.

        Returns a half-plane in the density's unit times Å³, zero outside the Nyquist circle.
        """

    @abc.abstractmethod
    def density(self, latent: Float[Array, " d"], grid: FourierGrid) -> Float[Array, "n n n"]:
        """Voxels `[z, y, x]` of `V(·; latent)`, centred, at the spacing of `grid`."""

    @abc.abstractmethod
    def prepare(self, grid: FourierGrid) -> "AbstractVolume | Self":
        """An equal volume that is cheaper to slice many times on `grid`: mathematically the
        identity. Most models return `self`."""
