"""How good decoded structures are, where every image's true structure is known."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from ..structures.network import neighbours
from ..structures.superpose import superposition


@final
@dataclass(frozen=True, kw_only=True)
class StructureScores:
    """Of each of m structures:

    - `rmsd`: from the true one where both stand, Å; `superposed`: after the best rigid motion of
      each, which forgives wrong poses and hides motions of the whole;
    - `bonds_kept`: share of bonds whose length is within 0.2 Å of the true structure's;
    - `clashes`: pairs nearer than 3 Å, those left out that are bonded or nearly.
    """

    rmsd: Float[np.ndarray, " m"]
    superposed: Float[np.ndarray, " m"]
    bonds_kept: Float[np.ndarray, " m"]
    clashes: Int[np.ndarray, " m"]


def score_structures(
    decoded: Float[np.ndarray, "m j 3"],
    true: Float[np.ndarray, "m j 3"],
    bonds: Int[np.ndarray, "p 2"],
    near: Int[np.ndarray, "e 2"],
) -> StructureScores:
    """Scores of decoded structures, of C-alpha say, beside the true ones; rows of `bonds` and of
    `near`, the pairs that are no clash, are as in `structures.connectivity`."""
    return StructureScores(
        rmsd=rmsd(decoded, true),
        superposed=rmsd_superposed(decoded, true),
        bonds_kept=(np.abs(bond_deviations(decoded, true, bonds)) <= 0.2).mean(axis=1),
        clashes=clashes(decoded, near),
    )


def rmsd(
    decoded: Float[np.ndarray, "m j 3"], true: Float[np.ndarray, "m j 3"]
) -> Float[np.ndarray, " m"]:
    """Root mean square distance of atoms from their true places, Å."""
    away = np.asarray(decoded, np.float64) - true
    return np.sqrt(np.sum(away**2, axis=2).mean(axis=1))


def rmsd_superposed(
    decoded: Float[np.ndarray, "m j 3"], true: Float[np.ndarray, "m j 3"]
) -> Float[np.ndarray, " m"]:
    """The same after the rigid motion of each that makes it least."""
    moved = np.empty(decoded.shape)
    for row, (here, there) in enumerate(zip(decoded, true, strict=True)):
        rotation, shift = superposition(here.astype(np.float64), there.astype(np.float64))
        moved[row] = here @ rotation.T + shift
    return rmsd(moved, true)


def bond_deviations(
    decoded: Float[np.ndarray, "m j 3"],
    true: Float[np.ndarray, "m j 3"],
    bonds: Int[np.ndarray, "p 2"],
) -> Float[np.ndarray, "m p"]:
    """Decoded length of each bond less its true length, Å."""
    first, second = bonds.T
    length = lambda x: np.linalg.norm(np.asarray(x[:, first] - x[:, second], np.float64), axis=2)
    return length(decoded) - length(true)


def clashes(
    decoded: Float[np.ndarray, "m j 3"], near: Int[np.ndarray, "e 2"], nearest: float = 3.0
) -> Int[np.ndarray, " m"]:
    """Pairs of atoms less than `nearest` Å apart, not counting those of `near`."""
    count = decoded.shape[1]
    low, high = np.sort(near, axis=1).T
    left_out = low * count + high
    found = np.zeros(len(decoded), np.int64)
    for row, positions in enumerate(decoded):
        first, second = neighbours(positions.astype(np.float64), nearest).T
        apart = np.linalg.norm(positions[first] - positions[second], axis=1)
        clashing = (apart < nearest) & ~np.isin(first * count + second, left_out)
        found[row] = clashing.sum()
    return found
