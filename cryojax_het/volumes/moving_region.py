"""A region that moves as a rigid body, whatever it does within.

    V(r; z, ω, t) = W(exp(ω)⁻¹ (r - c - t); z),   V̂(k) = Ŵ(exp(ω)⁻¹ k; z) exp(-2πi k·(c + t))

No voxel is turned: the slice is taken where it would be in the region's own frame. The turn is
about the region's centre `c`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging import rotation as so3
from ..imaging.grid import FourierGrid
from .base import AbstractVolume
from .hyper_molecule import HyperMolecule
from .latent_functions.interval import Legendre
from .placed import moved, seen_from
from .prolate.basis import prolate_basis
from .prolate.harmonics import rotation_matrices
from .prolate.slicing import AtTurnedPlane


class MovingRegion(AbstractVolume):
    """`inner` about `centre`, Å. The latent is that of `inner`, then a rotation vector and a shift,
    each in units of its own.

    - `turn`: radians, `travel`: Å, at a latent of 1.
    """

    inner: HyperMolecule
    centre: Float[Array, "3"]
    turn: Float[Array, ""]
    travel: Float[Array, ""]
    latent_size: int = eqx.field(static=True, init=False)

    def __init__(self, inner: HyperMolecule, centre: Float[Array, "3"], turn=1.0, travel=1.0):
        dtype = inner.basis.table.dtype
        self.inner, self.centre = inner, centre
        self.turn, self.travel = jnp.asarray(turn, dtype), jnp.asarray(travel, dtype)
        self.latent_size = inner.latent_size + 6

    def motion(
        self, latent: Float[Array, " d"]
    ) -> tuple[Float[Array, " _"], Float[Array, "3 3"], Float[Array, "3"]]:
        """The latent within; the rotation; where the centre is."""
        own, turn, shift = jnp.split(latent, [self.inner.latent_size, self.inner.latent_size + 3])
        return own, so3.exp(self.turn * turn), self.centre + self.travel * shift

    def slice(self, latent, rotation, grid):
        own, turned, place = self.motion(latent)
        frame = jnp.matmul(rotation, turned, precision="highest")
        return self.inner.slice(own, frame, grid) * seen_from(place, rotation, grid)

    def density(self, latent, grid):
        own, turned, place = self.motion(latent)
        basis = self.inner.basis
        turning = AtTurnedPlane.of(basis)
        matrices = rotation_matrices(turned, turning.points, turning.inverse)
        parts = basis.split(self.inner.at(own))
        product = lambda a, d: jnp.matmul(a, d.T, precision="highest").ravel()
        at = jnp.concatenate([product(a, d) for a, d in zip(parts, matrices, strict=True)])
        still = HyperMolecule(at[:, None], basis, Legendre(0))
        return moved(still.density(jnp.zeros(1, latent.dtype), grid), place, grid)

    def prepare(self, grid):
        return self


def example(key, grid: FourierGrid) -> MovingRegion:
    """A region with one latent of its own; found by the law tests."""
    basis = prolate_basis(0.2 * float(grid.length), 0.4 / float(grid.pixel_size), 0.999)
    coefficients = jax.random.normal(key, (basis.size, 2))
    inner = HyperMolecule(coefficients, basis, Legendre(1), AtTurnedPlane.of(basis))
    return MovingRegion(inner, jnp.array([-0.1, 0.05, 0.0]) * grid.length, 0.7, 2.0)
