"""Cells of a mesh turn and move rather than stretch."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...volumes.displaced import DisplacedMixture
from ...volumes.mesh_flow import MeshFlow
from ...volumes.nearest_rotation import determinant, nearest_rotation
from ..training.conformation_energy import AbstractConformationEnergy
from .folding import SMALLEST


class Rigidity(AbstractConformationEnergy):
    """`½ Σ_c s_c v_c/v̄ (|F_c - R(F_c)|²/ε² + κ max(0.2 - det F_c, 0)²)`, `R` the nearest rotation.

    Singular values of `F` other than 1 cost, rotations are free; exact in value and slope, since
    at the nearest rotation the distance does not change with it. Nothing is decomposed, and the
    slope is 0 where nothing moves. (Punjani & Fleet 2023, Nat. Methods 20.)

    - `strain`: `ε`, what a mean cell of stiffness 1 does for half a nat; `folding`: `κ`.

    `TypeError` unless the mixture is moved by a `MeshFlow`.
    """

    strain: Float[Array, ""]
    folding: Float[Array, ""]

    def energy(self, volume, latent):
        flow = mesh_flow_of(volume)
        stretch = flow.stretches(latent)
        each = jnp.sum((stretch - nearest_rotation(stretch)) ** 2, axis=(1, 2))
        folded = jnp.maximum(SMALLEST - determinant(stretch), 0) ** 2
        volumes = flow.mesh.volumes / jnp.mean(flow.mesh.volumes)
        cost = each / self.strain.astype(each.dtype) ** 2 + self.folding.astype(each.dtype) * folded
        return 0.5 * jnp.sum(flow.stiffness * volumes * cost)


def mesh_flow_of(volume: DisplacedMixture) -> MeshFlow:
    """What moves the mixture. Raises `TypeError` where it is no `MeshFlow`."""
    if not isinstance(volume.displacement, MeshFlow):
        kind = type(volume.displacement).__name__
        raise TypeError(f"Rigidity is of the cells of a `MeshFlow`. Got {kind}.")
    return volume.displacement
