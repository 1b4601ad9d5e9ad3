"""Repulsion of atoms that come too near."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ...structures.network import neighbours
from .geometry import distances
from .restraint import AbstractRestraint

_FEWEST = 256  # pairs that a list has room for


class Clash(AbstractRestraint):
    """`½ Σ (relu(ρ_i + ρ_j - |r_i - r_j|)/σ)²` over pairs of a list, those `excluded` left out.

    - `radii`: `ρ`, Å; `sigma`: Å; `skin`: Å, how much farther apart than a clash listed pairs are.
    - `pairs`: the list, padded to a fixed size; `present`: which are no padding.

    No clash is missed until two atoms have together moved by more than the skin since the list was
    made: ask for it anew (`adapted`) before. Memory is that of the list, not of all pairs.
    """

    radii: Float[Array, " j"]
    sigma: Float[Array, ""]
    excluded: Int[Array, "e 2"]
    pairs: Int[Array, "c 2"]
    present: Bool[Array, " c"]
    skin: float = eqx.field(static=True)

    def energy(self, positions):
        radii = self.radii.astype(positions.dtype)
        reach = radii[self.pairs[:, 0]] + radii[self.pairs[:, 1]]
        overlap = jax.nn.relu(reach - distances(positions, self.pairs))
        overlap = jnp.where(self.present, overlap, 0) / self.sigma.astype(positions.dtype)
        return 0.5 * jnp.sum(overlap**2)

    def adapted(self, conformations) -> "Clash":
        """With the pairs that are near in any of the conformations; the list doubles until all
        have room, which compiles anew. Raises `ValueError` where positions are not finite."""
        radii, excluded = np.asarray(self.radii, np.float64), np.asarray(self.excluded)
        found = contacts(np.asarray(conformations, np.float64), radii, excluded, self.skin)
        size = len(self.pairs)
        while size < len(found):
            size *= 2
        pairs = np.zeros((size, 2), np.int64)
        pairs[: len(found)] = found
        listed = (jnp.asarray(pairs, self.pairs.dtype), jnp.arange(size) < len(found))
        return eqx.tree_at(lambda c: (c.pairs, c.present), self, listed)


def contacts(
    conformations: Float[np.ndarray, "m j 3"],
    radii: Float[np.ndarray, " j"],
    excluded: Int[np.ndarray, "e 2"],
    skin: float,
) -> Int[np.ndarray, "p 2"]:
    """Pairs `i < j` with `|r_i - r_j| <= ρ_i + ρ_j + skin` in any conformation, sorted, but for
    those `excluded`. Raises `ValueError` where positions are not finite."""
    if not np.isfinite(conformations).all():
        raise ValueError("Positions are not finite: no neighbours can be found.")
    count = len(radii)
    found = np.zeros(0, np.int64)
    for positions in conformations:
        first, second = neighbours(positions, 2 * float(radii.max()) + skin).T
        apart = np.linalg.norm(positions[first] - positions[second], axis=1)
        near = apart <= radii[first] + radii[second] + skin
        found = np.union1d(found, (first * count + second)[near])
    low, high = np.sort(excluded, axis=1).astype(np.int64).T
    found = np.setdiff1d(found, low * count + high, assume_unique=False)
    return np.stack(np.divmod(found, count), axis=1)


def clash_at(
    reference: Float[np.ndarray, "j 3"],
    radii: Float[np.ndarray, " j"],
    excluded: Int[np.ndarray, "e 2"],
    sigma: float = 0.3,
    skin: float = 4.0,
) -> Clash:
    """With the list of the reference. `radii` of 2 Å suit C-alpha; `structures.covalent` has those
    of atoms."""
    empty = Clash(
        radii=jnp.asarray(radii),
        sigma=jnp.asarray(np.array(sigma)),
        excluded=jnp.asarray(excluded),
        pairs=jnp.zeros((_FEWEST, 2), jnp.asarray(excluded).dtype),
        present=jnp.zeros(_FEWEST, bool),
        skin=skin,
    )
    return empty.adapted(reference[None])


def example(positions: Float[np.ndarray, "j 3"]) -> Clash:
    """Of a chain, neighbours but three left out; found by the law tests."""
    first, second = np.triu_indices(len(positions), 1)
    close = second - first <= 3
    excluded = np.stack([first[close], second[close]], axis=1)
    return clash_at(positions, np.full(len(positions), 2.0), excluded)
