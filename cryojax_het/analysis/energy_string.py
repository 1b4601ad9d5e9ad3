"""The path of least free energy between two states: the simplified string method."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .latent_paths import evenly

# Nodes to where they are after a step downhill.
Downhill = Callable[[np.ndarray], np.ndarray]


def string_at_rest(
    downhill: Downhill, start: Float[np.ndarray, "k d"], rounds: int, least: float
) -> Float[np.ndarray, "k d"]:
    """Nodes at equal arc lengths of a path from which no step leads downhill across it.

    All nodes take a step, ends too unless `downhill` holds them, which so come to rest in minima;
    then the nodes are spread out again along the path. It ends after `rounds`, or where no
    coordinate of a node moves by `least`.

    E, Ren & Vanden-Eijnden 2007, J. Chem. Phys. 126.
    """
    nodes = start
    for _ in range(rounds):
        moved = evenly(downhill(nodes), len(nodes))
        change = np.abs(moved - nodes).max()
        nodes = moved
        if change < least:
            break
    return nodes
