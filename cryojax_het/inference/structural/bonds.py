"""Lengths of bonds, and the continuity of a chain of residues."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .geometry import distances
from .restraint import AbstractRestraint

C_ALPHA_DISTANCE = 3.8  # Å, of consecutive residues joined by a trans peptide bond


class Bonds(AbstractRestraint):
    """`½ Σ_p ((|r_i - r_j| - d_p)/σ_p)²` over pairs `p = (i, j)`, Å."""

    pairs: Int[Array, "p 2"]
    rest: Float[Array, " p"]
    sigma: Float[Array, " p"]

    def energy(self, positions):
        away = distances(positions, self.pairs) - self.rest.astype(positions.dtype)
        return 0.5 * jnp.sum((away / self.sigma.astype(positions.dtype)) ** 2)

    def adapted(self, conformations):
        return self


def bonds_of(
    pairs: Int[np.ndarray, "p 2"], rest: Float[np.ndarray, " p"], sigma: float = 0.1
) -> Bonds:
    """One `sigma` (Å) for all."""
    return Bonds(jnp.asarray(pairs), jnp.asarray(rest), jnp.asarray(np.full(len(pairs), sigma)))


def bonds_at_rest(
    pairs: Int[np.ndarray, "p 2"], reference: Float[np.ndarray, "j 3"], sigma: float = 0.1
) -> Bonds:
    """Bonds as long as in the reference."""
    apart = reference[pairs[:, 0]] - reference[pairs[:, 1]]
    return bonds_of(pairs, np.linalg.norm(apart, axis=1), sigma)


def c_alpha_bonds(pairs: Int[np.ndarray, "p 2"], sigma: float = 0.1) -> Bonds:
    """3.8 Å between consecutive C-alpha, whatever the reference has; cis prolines (2.9 Å) are
    better served by `bonds_at_rest`."""
    return bonds_of(pairs, np.full(len(pairs), C_ALPHA_DISTANCE), sigma)


def example(positions: Float[np.ndarray, "j 3"]) -> Bonds:
    """Of a chain; found by the law tests."""
    row = np.arange(len(positions) - 1)
    return bonds_at_rest(np.stack([row, row + 1], axis=1), positions)
