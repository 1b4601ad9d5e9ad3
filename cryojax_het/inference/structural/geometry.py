"""Lengths, angles and torsions whose gradients are finite everywhere."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_NOWHERE = 1e-20  # square of the lengths' product below which there is no direction
_IN_LINE = 0.05  # product of the sines of a torsion's two angles where it counts half


def lengths(vectors: Float[Array, "*n 3"]) -> Float[Array, "*n"]:
    """Euclidean lengths, whose gradient at 0 is 0."""
    square = jnp.sum(vectors**2, axis=-1)
    there = square > jnp.finfo(square.dtype).tiny
    return jnp.where(there, jnp.sqrt(jnp.where(there, square, 1)), 0)


def distances(positions: Float[Array, "j 3"], pairs: Int[Array, "p 2"]) -> Float[Array, " p"]:
    """`|r_i - r_j|` of each pair."""
    return lengths(positions[pairs[:, 0]] - positions[pairs[:, 1]])


def bond_angles(positions: Float[Array, "j 3"], triples: Int[Array, "a 3"]) -> Float[Array, " a"]:
    """Angle at the second atom of three, from 0 to π: `atan2(|u x v|, u·v)`.

    In line, where it has a kink, its gradient is that of the kink's middle, 0.
    """
    ends, centre = positions[triples[:, ::2]], positions[triples[:, 1]]
    first, second = ends[:, 0] - centre, ends[:, 1] - centre
    return _phase(lengths(jnp.cross(first, second)), jnp.sum(first * second, axis=-1))


class Torsions(NamedTuple):
    """`angle`: -π to π, IUPAC's sign; `defined`: 1 for a torsion proper, falling to 0 as three of
    its atoms come in line, where it has no value and its gradient would be infinite."""

    angle: Float[Array, " t"]
    defined: Float[Array, " t"]


def torsions(positions: Float[Array, "j 3"], quadruples: Int[Array, "t 4"]) -> Torsions:
    """Torsion about the middle bond of four atoms: with bonds `a, b, c` along the chain,

        φ = atan2(|b| a·(b x c), (a x b)·(b x c)),    defined = s²/(s² + 0.05²)

    where `s` is the product of the sines of the two bond angles. (Blondel & Karplus 1996,
    J. Comput. Chem. 17, for the formula.)
    """
    a, b, c = jnp.moveaxis(jnp.diff(positions[quadruples], axis=1), 1, 0)
    dot = lambda u, v: jnp.sum(u * v, axis=-1)
    normal = jnp.cross(b, c)
    along, across = dot(jnp.cross(a, b), normal), lengths(b) * dot(a, normal)
    sines = along**2 + across**2  # times the lengths below
    scale = dot(a, a) * dot(b, b) ** 2 * dot(c, c)
    # The constant is for coincident atoms: four of them 0.02 Å apart count half.
    defined = sines / (sines + _IN_LINE**2 * scale + 1e-14)
    return Torsions(_phase(across, along), defined)


def _phase(y, x):
    """`atan2`, with gradient 0 at the origin."""
    there = x**2 + y**2 > _NOWHERE
    return jnp.arctan2(jnp.where(there, y, 0), jnp.where(there, x, 1))
