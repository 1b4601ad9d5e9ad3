"""Hyper-molecules: a density of space and conformation, expanded in functions of both.

    V(r; τ) = Σ_kp a_kp ψ_k(r) T_p(τ)

`ψ` the prolate spheroidal functions of a ball, `T` polynomials of the latent. (Lederman & Singer
2017, arXiv:1704.02899; Lederman, Andén & Singer 2020, Inverse Problems 36.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid, inside_circle
from .base import AbstractVolume
from .expanded import Expanded
from .kernel import Kernel, quadratic
from .latent_functions.base import AbstractLatentFunctions
from .latent_functions.interval import Legendre
from .linear import linear_of
from .prolate.basis import ProlateBasis, prolate_basis
from .prolate.slicing import AbstractSlicing, AtTurnedPlane, fastest_slicing
from .prolate.voxels import voxels_of


class HyperMolecule(AbstractVolume):
    """Coefficients `a_kp` `[k, p]` of a basis in space and of functions of the latent.

    - `slicing`: how a slice is evaluated; every way is exact. None: the fastest by measurement.

    `ValueError` where the coefficients do not fit.
    """

    coefficients: Float[Array, "k p"]
    basis: ProlateBasis
    functions: AbstractLatentFunctions
    slicing: AbstractSlicing
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(
        self,
        coefficients: Float[Array, "k p"],
        basis: ProlateBasis,
        functions: AbstractLatentFunctions,
        slicing: AbstractSlicing | None = None,
    ):
        wanted = basis.size, functions.count
        if coefficients.shape != wanted:
            raise ValueError(
                f"Coefficients must be [{wanted[0]}, {wanted[1]}], of functions in space and of "
                f"the latent. Got {list(coefficients.shape)}."
            )
        self.coefficients, self.basis, self.functions = coefficients, basis, functions
        self.slicing = fastest_slicing(basis) if slicing is None else slicing
        self.latent_size = functions.latent_size

    def at(self, latent: Float[Array, " d"]) -> Float[Array, " k"]:
        """Coefficients in space at a latent."""
        return jnp.matmul(self.coefficients, self.functions(latent), precision="highest")

    def slice(self, latent, rotation, grid):
        inside = inside_circle(grid.size)
        values = self.slicing.values(self.basis, self.at(latent), rotation, grid)
        plane = jnp.zeros(inside.shape, values.dtype)
        return plane.at[np.nonzero(inside)].set(values)

    def density(self, latent, grid):
        return voxels_of(self.basis, self.at(latent)[:, None], grid)[0]

    def prepare(self, grid):
        return self

    def expanded(self, grid: FourierGrid, kernel: Kernel | None = None) -> Expanded:
        """As voxels, a map to each function of the latent: slices are interpolated, and cost the
        same however many functions there are in space."""
        own = quadratic() if kernel is None else kernel
        maps = voxels_of(self.basis, self.coefficients, grid)
        return Expanded(self.functions, linear_of(maps, grid.pixel_size, own))


def example(key, grid: FourierGrid) -> HyperMolecule:
    """A random cubic of functions that the band holds nearly whole; found by the law tests."""
    basis = prolate_basis(0.3 * float(grid.length), 0.35 / float(grid.pixel_size), 0.999)
    coefficients = jax.random.normal(key, (basis.size, 4))
    return HyperMolecule(coefficients, basis, Legendre(3), AtTurnedPlane.of(basis))
