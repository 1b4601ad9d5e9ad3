"""How much of a molecule takes part in a motion, and how alike motions are."""

import numpy as np
from jaxtyping import Float


def collectivity(vectors: Float[np.ndarray, "k n 3"]) -> Float[np.ndarray, " k"]:
    """`κ = exp(-Σ_j p_j ln p_j) / n`, `p_j` the share of node j in the squared motion: 1 where all
    nodes move as far, `1/n` where one moves alone. Below 0.15 a mode is a dangling end.

    Brüschweiler 1995, J. Chem. Phys. 102.
    """
    square = np.sum(vectors**2, axis=2)
    share = square / square.sum(axis=1, keepdims=True)
    logarithm = np.log(np.where(share > 0, share, 1))
    return np.exp(-np.sum(share * logarithm, axis=1)) / vectors.shape[1]


def cumulative_overlap(
    vectors: Float[np.ndarray, "k n 3"], change: Float[np.ndarray, "n 3"]
) -> Float[np.ndarray, " k"]:
    """Length of the part of a change, as a share of the whole, that the first 1, 2, ... orthonormal
    modes span. Rigid motions are to be taken out of the change (`superposed`)."""
    along = np.einsum("knx,nx->k", vectors, change)
    return np.sqrt(np.cumsum(along**2)) / np.linalg.norm(change)


def subspace_overlap(
    first: Float[np.ndarray, "k n 3"], second: Float[np.ndarray, "m n 3"]
) -> Float[np.ndarray, " _"]:
    """Cosines of the principal angles between the spaces of two sets of orthonormal modes, the
    largest first: all 1 where one contains the other."""
    flat = lambda vectors: vectors.reshape(len(vectors), -1)
    return np.linalg.svd(flat(first) @ flat(second).T, compute_uv=False)
