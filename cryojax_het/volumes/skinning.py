"""Rigid motions of a few bodies, blended over the atoms between them (linear blend skinning)."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import AbstractVar
from jaxtyping import Array, Float

from ..imaging.rotation import exp


class RigidMotions(eqx.Module):
    """Of each body, a rotation about its own centre and a translation."""

    turns: Float[Array, "m 3"]  # rotation vectors, radians
    shifts: Float[Array, "m 3"]  # Å


class AbstractMotions(eqx.Module):
    """Rigid motions of bodies as a function of a latent."""

    latent_size: AbstractVar[int]

    @abc.abstractmethod
    def motions(self, latent: Float[Array, " d"]) -> RigidMotions:
        """The motion of each body in conformation `latent`."""


class LinearMotions(AbstractMotions):
    """Rotation vectors and translations linear in the latent.

    `turns` in radians and `shifts` in Å per unit of each latent coordinate, `[d, m, 3]`.
    """

    turns: Float[Array, "d m 3"]
    shifts: Float[Array, "d m 3"]
    latent_size: int = eqx.field(static=True)

    def __init__(self, turns: Float[Array, "d m 3"], shifts: Float[Array, "d m 3"]):
        self.turns, self.shifts, self.latent_size = turns, shifts, len(turns)

    def motions(self, latent):
        of = lambda table: jnp.einsum("d,dma->ma", latent, table, precision="highest")
        return RigidMotions(of(self.turns), of(self.shifts))


def free_motions(bodies: int, angle: float, shift: float) -> LinearMotions:
    """Every body on its own, `6 bodies` latent coordinates: of each body its turn in units of
    `angle` radians, then its translation in units of `shift` Å."""
    unit = jnp.eye(6 * bodies).reshape(-1, bodies, 6)
    return LinearMotions(angle * unit[..., :3], shift * unit[..., 3:])


def blended(
    weights: Float[Array, "j m"],
    centres: Float[Array, "m 3"],
    motions: RigidMotions,
    positions: Float[Array, "j 3"],
) -> Float[Array, "j 3"]:
    """`u_j = Σ_m w_jm ((R_m - I)(r_j - c_m) + t_m)`, Å; rows of `weights` add up to 1.

    Where all bodies follow one rigid motion, so does every atom, exactly.
    """
    turned = jax.vmap(exp)(motions.turns) - jnp.eye(3, dtype=positions.dtype)
    moved = motions.shifts - jnp.einsum("mab,mb->ma", turned, centres, precision="highest")
    # Each atom's own affine map first: `m` motions times `j` atoms never exist.
    affine = jnp.matmul(weights, turned.reshape(-1, 9), precision="highest").reshape(-1, 3, 3)
    offset = jnp.matmul(weights, moved, precision="highest")
    return jnp.einsum("jab,jb->ja", affine, positions, precision="highest") + offset
