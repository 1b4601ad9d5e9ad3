"""Angles between bonds."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .geometry import bond_angles
from .restraint import AbstractRestraint


class Angles(AbstractRestraint):
    """`½ Σ_a ((θ_a - θ⁰_a)/σ_a)²` of angles `θ` from 0 to π at the second atom of three."""

    triples: Int[Array, "a 3"]
    rest: Float[Array, " a"]
    sigma: Float[Array, " a"]

    def energy(self, positions):
        away = bond_angles(positions, self.triples) - self.rest.astype(positions.dtype)
        return 0.5 * jnp.sum((away / self.sigma.astype(positions.dtype)) ** 2)

    def adapted(self, conformations):
        return self


def angles_at_rest(
    triples: Int[np.ndarray, "a 3"], reference: Float[np.ndarray, "j 3"], sigma: float = 0.1
) -> Angles:
    """Angles as in the reference; `sigma` in radians."""
    rows, places = jnp.asarray(triples), jnp.asarray(reference)
    width = jnp.asarray(np.full(len(triples), sigma))
    return Angles(rows, jax.jit(bond_angles)(places, rows), width)


def example(positions: Float[np.ndarray, "j 3"]) -> Angles:
    """Of a chain; found by the law tests."""
    row = np.arange(len(positions) - 2)
    return angles_at_rest(row[:, None] + np.arange(3), positions)
