"""Deformation fields in space: displacements that know how they stretch, and hold anywhere."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float

from .displacement import AbstractDisplacement
from .latent_modes import AbstractLatentModes, mixed
from .mixture import Change
from .nearest_rotation import determinant


class AbstractFlow(AbstractDisplacement):
    """`g(r) = r + Σ_v B_v(r) m_v(z)`, `B` functions in space and `m` vectors that follow a latent.

    It holds the values of `B` at the points it displaces, which `change` therefore does not look
    at: `at` makes one of other points.
    """

    motion: AbstractVar[AbstractLatentModes]

    @abc.abstractmethod
    def point_modes(self) -> Float[Array, "j 3 h"]:
        """What the motion's modes are at the points, Å: `B M`."""

    @abc.abstractmethod
    def at(self, points: Float[np.ndarray, "j 3"]) -> "AbstractFlow":
        """The same field at other points (Å). Raises `ValueError` where it does not reach them."""

    @abc.abstractmethod
    def stretches(self, latent: Float[Array, " d"]) -> Float[Array, "c 3 3"]:
        """`F = ∂g/∂r` where it is watched, all over the field: `[c, component, axis]`."""

    @abc.abstractmethod
    def point_stretches(self, latent: Float[Array, " d"]) -> Float[Array, "j 3 3"]:
        """`F` at the points that it displaces."""

    def change(self, latent, positions):
        del positions
        # The modes' values first: they are of no image, and a batch shares them.
        return Change(mixed(self.point_modes(), self.motion.features(latent)))


class FrozenFlow(AbstractDisplacement):
    """A flow that will not be trained: what its modes are at the points is made once.

    For full-resolution maps through a flow that was fitted at coarse ones. `modes` in Å.
    """

    modes: Float[Array, "j 3 h"]
    motion: AbstractLatentModes
    latent_size: int = eqx.field(static=True)

    def __init__(self, modes: Float[Array, "j 3 h"], motion: AbstractLatentModes):
        self.modes, self.motion, self.latent_size = modes, motion, motion.latent_size

    def change(self, latent, positions):
        del positions
        return Change(mixed(self.modes, self.motion.features(latent)))


def frozen(flow: AbstractFlow, points: Float[np.ndarray, "j 3"]) -> FrozenFlow:
    """`flow` at `points`, Å. Raises `ValueError` where it does not reach them."""
    return FrozenFlow(flow.at(points).point_modes(), flow.motion)


class ValuePreserving(AbstractDisplacement):
    """The points of a flow with the values of the reference: masses times `det F`.

    Pushing points forward keeps the mass of each, and density falls where the flow spreads them.
    This keeps densities instead, `V(g(r)) = V₀(r)`, as warping a map does. Determinants below
    `least`, where the flow nearly folds, count as that.
    """

    flow: AbstractFlow
    least: float = eqx.field(static=True, default=0.05)
    latent_size: int = eqx.field(static=True, init=False)

    def __post_init__(self):
        self.latent_size = self.flow.latent_size

    def change(self, latent, positions):
        displacement = self.flow.change(latent, positions).displacement
        det = determinant(self.flow.point_stretches(latent))
        return Change(displacement, jnp.log(jnp.maximum(det, self.least)))
