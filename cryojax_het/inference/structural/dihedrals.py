"""Torsions about bonds."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .geometry import torsions
from .restraint import AbstractRestraint


class Dihedrals(AbstractRestraint):
    """`Σ_t w_t (1 - cos(φ_t - φ⁰_t))/σ_t²`: von Mises densities, which near `φ⁰` are normal ones
    of standard deviation `σ`, and have no edge at ±π.

    `w` is 1 but where three of the four atoms are almost in line (see `torsions`).
    """

    quadruples: Int[Array, "t 4"]
    rest: Float[Array, " t"]
    sigma: Float[Array, " t"]

    def energy(self, positions):
        found = torsions(positions, self.quadruples)
        away = found.angle - self.rest.astype(positions.dtype)
        # Half the angle: 1 - cos would lose small differences to rounding.
        sine = jnp.sin(0.5 * away) / self.sigma.astype(positions.dtype)
        return 2 * jnp.sum(found.defined * sine**2)

    def adapted(self, conformations):
        return self


def dihedrals_at_rest(
    quadruples: Int[np.ndarray, "t 4"], reference: Float[np.ndarray, "j 3"], sigma: float = 0.3
) -> Dihedrals:
    """Torsions as in the reference; `sigma` in radians."""
    rows, places = jnp.asarray(quadruples), jnp.asarray(reference)
    width = jnp.asarray(np.full(len(quadruples), sigma))
    return Dihedrals(rows, jax.jit(torsions)(places, rows).angle, width)


def example(positions: Float[np.ndarray, "j 3"]) -> Dihedrals:
    """Of a chain; found by the law tests."""
    row = np.arange(len(positions) - 3)
    return dihedrals_at_rest(row[:, None] + np.arange(4), positions)
