"""How far springs must reach for a network to hold together."""

import numpy as np
from jaxtyping import Float

from .hessian import diagonal_blocks, rigid_motions, stiffness_scale
from .mode_solver import suited_solver
from .modes import LOOSE
from .network import Network, UniformSprings

_GROWTH = 1.05
_TRIALS = 60  # the last is 18 times the first


def holding_network(positions: Float[np.ndarray, "n 3"], shortest: float) -> Network:
    """Springs of one constant (`UniformSprings`) at the smallest cutoff from `shortest` on, in
    steps of 5 %, at which exactly the six rigid motions cost nothing.

    Raises `ValueError` where no cutoff does: too few nodes, or all on a line.
    """
    for trial in range(_TRIALS):
        network = UniformSprings(shortest * _GROWTH**trial).network(positions)
        if holds(network):
            return network
    raise ValueError(
        f"No cutoff from {shortest:g} Å to {shortest * _GROWTH**_TRIALS:.0f} Å holds the "
        f"{len(positions)} nodes together: start from a longer one."
    )


def holds(network: Network) -> bool:
    """Whether exactly six motions cost nothing, so that the softest modes are deformations.

    The two cheap conditions come first: all nodes hang together, and each is held in three
    directions by its own springs.
    """
    if not _in_one_piece(network) or rigid_motions(network.positions).shape[1] < 6:
        return False
    least = LOOSE * stiffness_scale(network)
    if np.linalg.eigvalsh(diagonal_blocks(network))[:, 0].min() < least:
        return False
    softest = suited_solver(len(network.positions)).softest(network, 1)
    return bool(softest.eigenvalues[0] >= least)


def _in_one_piece(network):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(network.positions)
    if count < 3:
        return False
    joined = coo_array((network.stiffness, tuple(network.pairs.T)), shape=(count, count))
    return connected_components(joined, directed=False, return_labels=False) == 1
