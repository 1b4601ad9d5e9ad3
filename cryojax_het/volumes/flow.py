"""Deformation fields in space: displacements that know how they stretch, and hold anywhere."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float

from .displacement import AbstractDisplacement
from .latent_modes import AbstractLatentModes, mixed
from .mixture import Change
from .nearest_rotation import determinant
from .normal_modes import NormalModes


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


def principal_modes(
    flow: AbstractFlow, latents: Float[np.ndarray, "n d"], tolerance: float
) -> tuple[NormalModes, Float[np.ndarray, "n r"]]:
    """The displacements that `latents` give the flow's points, as few modes and their amplitudes.

    Root mean square error below `tolerance`, Å. What a latent does is a network's; over given
    images a handful of directions holds it, and to apply these costs far less than the network's
    modes. Double precision, on the host.
    """
    features = jax.jit(jax.vmap(flow.motion.features))(jnp.asarray(latents, jnp.float32))
    modes = np.asarray(flow.point_modes(), np.float64)
    directions, upper = np.linalg.qr(modes.reshape(-1, modes.shape[2]))
    amplitudes = np.asarray(features, np.float64) @ upper.T
    left, sizes, right = np.linalg.svd(amplitudes, full_matrices=False)
    beyond = np.sqrt(np.cumsum(sizes[::-1] ** 2)[::-1] / (len(latents) * len(modes)))
    count = max(1, int(np.sum(beyond > tolerance)))
    vectors = (directions @ right[:count].T).T.reshape(count, -1, 3)
    return NormalModes(jnp.asarray(vectors, jnp.float32)), left[:, :count] * sizes[:count]
