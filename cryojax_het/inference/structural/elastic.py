"""Elastic network: distances of near pairs change little, but for the few that change most."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...structures.network import neighbours
from .geometry import distances
from .restraint import AbstractRestraint


class ElasticNetwork(AbstractRestraint):
    """`½ Σ_p k_p ((|r_i - r_j| - d_p)/σ_p)²` over pairs `p = (i, j)`.

    - `kept`: `k`, 1, or 0 for a released pair; `fraction`: of all pairs, how many to release.

    Releasing what varies most lets hinges open that the other distances leave free. (Li et al.
    2024, Nat. Methods 21: cryoSTAR.)
    """

    pairs: Int[Array, "p 2"]
    rest: Float[Array, " p"]
    sigma: Float[Array, " p"]
    kept: Float[Array, " p"]
    fraction: float = eqx.field(static=True, default=0.01)

    def energy(self, positions):
        change = distances(positions, self.pairs) - self.rest.astype(positions.dtype)
        scaled = (change / self.sigma.astype(positions.dtype)) ** 2
        return 0.5 * jnp.sum(self.kept.astype(positions.dtype) * scaled)

    def mean_square_change(self, positions: Float[Array, "j 3"]) -> Float[Array, ""]:
        """Over the pairs that are kept, Å²."""
        change = distances(positions, self.pairs) - self.rest.astype(positions.dtype)
        kept = self.kept.astype(positions.dtype)
        return jnp.sum(kept * change**2) / jnp.maximum(jnp.sum(kept), 1)

    def released(self, conformations: Float[Array, "m j 3"]) -> "ElasticNetwork":
        """Without the pairs whose distance varies most over the conformations, and with all others,
        also those released before; pairs that do not vary stay. May be traced, for every batch."""
        count = round(self.fraction * len(self.pairs))
        variance, worst = jax.lax.top_k(self._variance(conformations), count)
        kept = jnp.ones_like(self.kept)
        kept = kept.at[worst].set(jnp.where(variance > 0, 0, 1).astype(kept.dtype))
        return eqx.tree_at(lambda n: n.kept, self, kept)

    def adapted(self, conformations):
        return _released(self, jnp.asarray(conformations))

    def _variance(self, conformations):
        """One conformation at a time: all distances of all would be large. (Welford 1962.)"""

        def add(state, positions):
            count, mean, square = state
            away = distances(positions, self.pairs) - mean
            mean = mean + away / (count + 1)
            again = distances(positions, self.pairs) - mean
            return (count + 1, mean, square + away * again), None

        zero = jnp.zeros(len(self.pairs), conformations.dtype)
        start = (jnp.zeros((), conformations.dtype), zero, zero)
        return jax.lax.scan(add, start, conformations)[0][2] / len(conformations)


_released = eqx.filter_jit(ElasticNetwork.released)


def elastic_network(
    reference: Float[np.ndarray, "j 3"],
    cutoff: float = 12.0,
    sigma: float = 1.0,
    chains: Int[np.ndarray, " j"] | None = None,
    fraction: float = 0.01,
) -> ElasticNetwork:
    """Pairs at most `cutoff` Å apart in the reference, at rest there.

        E = ½ J <(|r_i - r_j| - d_p)²>_p / σ²

    The mean over pairs counts once for each of J atoms: P springs on them are far from independent,
    and a longer cut-off is no stiffer.

    - `chains`: numbers that both atoms of a pair must share, so that chains move apart freely.
    """
    pairs = neighbours(reference, cutoff)
    if chains is not None:
        pairs = pairs[chains[pairs[:, 0]] == chains[pairs[:, 1]]]
    rest = np.linalg.norm(reference[pairs[:, 0]] - reference[pairs[:, 1]], axis=1)
    width = sigma * np.sqrt(len(pairs) / len(reference))
    return ElasticNetwork(
        pairs=jnp.asarray(pairs),
        rest=jnp.asarray(rest),
        sigma=jnp.asarray(np.full(len(pairs), width)),
        kept=jnp.asarray(np.ones(len(pairs))),
        fraction=fraction,
    )


def example(positions: Float[np.ndarray, "j 3"]) -> ElasticNetwork:
    """Of points; found by the law tests."""
    return elastic_network(positions, fraction=0.1)
