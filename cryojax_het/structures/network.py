"""Elastic networks: nodes joined by springs that are at rest in the given structure.

    E(r) = ½ Σ_p γ_p (|r_i - r_j| - d_p)²        over pairs p = (i, j), d_p their distance at rest

Tirion 1996, Phys. Rev. Lett. 77; Atilgan et al. 2001, Biophys. J. 80 (anisotropic network model).
"""

import abc
from typing import NamedTuple, final

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int


class Network(NamedTuple):
    """n nodes (x, y, z), Å, and p springs: the two nodes that each joins, and its constant γ."""

    positions: Float[np.ndarray, "n 3"]
    pairs: Int[np.ndarray, "p 2"]
    stiffness: Float[np.ndarray, " p"]

    def directions(self) -> Float[np.ndarray, "p 3"]:
        """Unit vector along each spring. Raises `ValueError` where two nodes coincide: their
        spring has none."""
        first, second = self.pairs.T
        along = self.positions[first] - self.positions[second]
        length = np.linalg.norm(along, axis=1, keepdims=True)
        if len(length) and length.min() < 1e-3:
            i, j = self.pairs[int(np.argmin(length))]
            raise ValueError(
                f"Nodes {i} and {j} of the network coincide: keep one conformation of each atom."
            )
        return along / length


class AbstractSprings(eqx.Module):
    """Which nodes are joined, and how stiffly."""

    @abc.abstractmethod
    def network(self, positions: Float[np.ndarray, "n 3"]) -> Network:
        """The springs between nodes at these positions, Å."""


@final
class UniformSprings(AbstractSprings):
    """`γ = 1` between nodes at most `cutoff` Å apart (ANM): 15 Å for one node per residue."""

    cutoff: float = 15.0

    def network(self, positions):
        pairs = neighbours(positions, self.cutoff)
        return Network(positions, pairs, np.ones(len(pairs)))


@final
class InverseSquareSprings(AbstractSprings):
    """`γ = (1 Å / d)²` between nodes at most `cutoff` Å apart.

    Without a cutoff this is the parameter-free model, pfANM: Yang, Song & Jernigan 2009, Proc. Natl
    Acad. Sci. USA 106. It joins every pair; a cutoff keeps the Hessian sparse.
    """

    cutoff: float = float("inf")

    def network(self, positions):
        pairs = neighbours(positions, self.cutoff)
        apart = positions[pairs[:, 0]] - positions[pairs[:, 1]]
        return Network(positions, pairs, 1 / np.maximum(np.sum(apart**2, axis=1), 1e-6))


def neighbours(positions: Float[np.ndarray, "n 3"], cutoff: float) -> Int[np.ndarray, "p 2"]:
    """Pairs `i < j` of points at most `cutoff` Å apart, sorted."""
    from scipy.spatial import KDTree

    pairs = KDTree(positions).query_pairs(cutoff, output_type="ndarray").astype(np.int64)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
