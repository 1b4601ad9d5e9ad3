"""Motions: differentiable functions from a state to where a molecule's atoms are."""

import abc
from typing import NamedTuple

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Float

from ..states import Coordinate


class Conformer(NamedTuple):
    """J atoms: positions (x, y, z) in Å, and occupancies, 0 where an atom is absent."""

    positions: Float[Array, "j 3"]
    occupancies: Float[Array, " j"]


class AbstractMotion(eqx.Module):
    """`conformer -> conformer`, given one value for each of `coordinates`.

    Motions compose: each acts on what those before it left (`Composed`).
    """

    coordinates: AbstractVar[tuple[Coordinate, ...]]

    @abc.abstractmethod
    def __call__(self, conformer: Conformer, values: Float[Array, " d"]) -> Conformer:
        """The conformer moved to the state `values`, in the order of `coordinates`."""
