"""Subunits that are present or absent."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..states import Coordinate
from .base import AbstractMotion


class Composition(AbstractMotion):
    """`o_j -> o_j T[s, u_j]`: occupancies in assembly `s`, for atom `j` of subunit `u_j`.

    - `table`: occupancy of every subunit in every assembly; `subunit`: that of each atom.
    """

    table: Float[Array, "s u"]
    subunit: Int[Array, " j"]
    coordinates: tuple[Coordinate, ...] = eqx.field(static=True)

    def __call__(self, conformer, values):
        number = jnp.clip(jnp.round(values[0]), 0, len(self.table) - 1).astype(jnp.int32)
        present = self.table[number][self.subunit]
        return conformer._replace(occupancies=conformer.occupancies * present)


def composition(
    subunits: list[Bool[np.ndarray, " j"]],
    table: Float[np.ndarray, "s u"],
    name: str = "assembly",
) -> Composition:
    """Masks of the subunits, and their occupancies in every assembly; atoms of no subunit are
    always present. Raises `ValueError` where subunits overlap."""
    count = np.sum(subunits, axis=0)
    if np.any(count > 1):
        raise ValueError(
            f"Subunits must not overlap. {np.count_nonzero(count > 1)} atoms are in several."
        )
    number = np.full(len(count), len(subunits), np.int32)
    for row, mask in enumerate(subunits):
        number[mask] = row
    whole = np.concatenate([table, np.ones((len(table), 1))], axis=1)
    coordinate = Coordinate(name=name, categorical=True)
    return Composition(
        table=jnp.asarray(whole, jnp.result_type(float)),
        subunit=jnp.asarray(number),
        coordinates=(coordinate,),
    )
