"""A map as pseudo-atoms that its own soft normal modes move."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .collective_modes import collective_modes, usual_reach
from .cutoff import holding_network
from .pseudo_atoms import Placement, pseudo_atoms


class ElasticModel(NamedTuple):
    """`Σ_a w_a N(r; c_a + Σ_k q_k Δ_ka, σ²)`.

    - `positions` `c`, Å; `weights` `w`, density·Å³; `width` `σ`, Å.
    - `vectors` `Δ`: an amplitude `q_k` is the root mean square displacement by that mode, Å;
      `stiffness` of each over that of the softest.
    """

    positions: Float[np.ndarray, "a 3"]
    weights: Float[np.ndarray, " a"]
    width: float
    vectors: Float[np.ndarray, "k a 3"]
    stiffness: Float[np.ndarray, " k"]


def elastic_model(
    voxels: Float[np.ndarray, "n n n"], pixel_size: float, count: int, how: Placement
) -> ElasticModel:
    """Pseudo-atoms of a map, solvent masked to zero, with `count` modes of its elastic network.

    The network's cutoff is the least that holds it together. Raises `ValueError` as `pseudo_atoms`,
    `holding_network` and `collective_modes` do.
    """
    found = pseudo_atoms(voxels, pixel_size, how)
    network = holding_network(found.positions, usual_reach(found.positions))
    modes, _, _ = collective_modes(network, count)
    vectors = np.sqrt(len(found.positions)) * modes.vectors
    stiffness = modes.eigenvalues / modes.eigenvalues[0]
    return ElasticModel(found.positions, found.weights, found.width, vectors, stiffness)
