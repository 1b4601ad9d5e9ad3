"""Deformations along normal modes."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...structures.atoms import Atoms
from ...structures.modes import Modes
from ...structures.nearest_nodes import nearest_nodes
from ..states import Coordinate
from .base import AbstractMotion


class NormalModes(AbstractMotion):
    """`r -> r + Σ_k b_k Δ_k`, `Δ_k` of root mean square 1 over the atoms: `b_k` is in Å."""

    directions: Float[Array, "k j 3"]
    coordinates: tuple[Coordinate, ...] = eqx.field(static=True)

    def __call__(self, conformer, values):
        step = jnp.einsum("k,kjx->jx", values, self.directions, precision="highest")
        return conformer._replace(positions=conformer.positions + step)


def mode_motion(modes: Modes, atoms: Atoms, nodes: Int[np.ndarray, " n"]) -> NormalModes:
    """Modes of the `nodes` (rows of `atoms`), carried to all atoms: each moves as the node of its
    residue does."""
    vectors = modes.vectors[:, nearest_nodes(atoms, nodes)]
    square = np.mean(np.sum(vectors**2, axis=2), axis=1)
    directions = vectors / np.sqrt(square)[:, None, None]
    return NormalModes(
        directions=jnp.asarray(directions, jnp.result_type(float)),
        coordinates=tuple(Coordinate(name=f"mode{k + 1}") for k in range(len(directions))),
    )
