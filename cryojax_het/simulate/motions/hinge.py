"""A part of a molecule that turns about an axis."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...imaging.rotation import exp
from ..states import Coordinate
from .base import AbstractMotion, Conformer


class AbstractAnchor(eqx.Module):
    """A point that an axis goes through."""

    @abc.abstractmethod
    def point(self, conformer: Conformer) -> Float[Array, "3"]:
        """Where it is, Å."""


class Centroid(AbstractAnchor):
    """The mean of some atoms, of the conformer at hand: it moves with them."""

    rows: Int[Array, " m"]

    def point(self, conformer):
        return jnp.mean(conformer.positions[self.rows], axis=0)


class FixedPoint(AbstractAnchor):
    """A point in space, Å, from the centre of the box."""

    position: Float[Array, "3"]

    def point(self, conformer):
        del conformer
        return self.position


class Hinge(AbstractMotion):
    """`r_j -> p + exp(θ [u]×)(r_j - p)` for the atoms `moving`, `p` the start of the axis and `u`
    its unit direction from `start` to `end`: seen from the end, θ (radians) turns
    counter-clockwise.

    - `moving`: 1 for the atoms that turn, 0 for the others.
    """

    moving: Float[Array, " j"]
    start: AbstractAnchor
    end: AbstractAnchor
    coordinates: tuple[Coordinate, ...] = eqx.field(static=True)

    def __call__(self, conformer, values):
        origin = self.start.point(conformer)
        along = self.end.point(conformer) - origin
        turn = exp(values[0] * along / jnp.linalg.norm(along))
        x, y, z = (conformer.positions - origin).T
        # Column by column: a matrix product of three columns is ten times slower on a CPU.
        change = turn - jnp.eye(3, dtype=turn.dtype)
        step = [self.moving * (row[0] * x + row[1] * y + row[2] * z) for row in change]
        return conformer._replace(positions=conformer.positions + jnp.stack(step, axis=1))


def hinge(
    moving: np.ndarray, axis: tuple[AbstractAnchor, AbstractAnchor], coordinate: Coordinate
) -> Hinge:
    """The atoms of the mask `moving` turned about an axis from one anchor to another."""
    start, end = axis
    weights = jnp.asarray(moving, jnp.result_type(float))
    return Hinge(moving=weights, start=start, end=end, coordinates=(coordinate,))
