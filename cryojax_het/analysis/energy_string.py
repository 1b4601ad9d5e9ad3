"""The path of least free energy between two states: the simplified string method."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

Force = Callable[[np.ndarray], np.ndarray]


def least_energy_path(
    force: Force,
    start: Float[np.ndarray, "k d"],
    step: float = 0.1,
    rounds: int = 5000,
    tolerance: float = 1e-7,
) -> Float[np.ndarray, "k d"]:
    """Nodes at equal arc lengths of a path along which `force` has no part across it.

    All nodes go `step * force(x)` downhill, ends too, which so come to rest in minima; then the
    nodes are spread out again along the path. It ends after `rounds`, or where nodes move by less
    than `tolerance` of the path's length.

    - `force`: minus the gradient of the free energy at points `[k, d]`.

    E, Ren & Vanden-Eijnden 2007, J. Chem. Phys. 126.
    """
    nodes = evenly_along(start, len(start))
    for _ in range(rounds):
        moved = evenly_along(nodes + step * force(nodes), len(nodes))
        length = np.linalg.norm(np.diff(moved, axis=0), axis=1).sum()
        change = float(np.mean(np.linalg.norm(moved - nodes, axis=1)))
        nodes = moved
        if change <= tolerance * length:
            break
    return nodes


def evenly_along(nodes: Float[np.ndarray, "k d"], count: int) -> Float[np.ndarray, "c d"]:
    """`count` points at equal arc lengths of the polygon through the nodes."""
    lengths = np.linalg.norm(np.diff(nodes, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0, along[-1], count)
    return np.stack([np.interp(wanted, along, column) for column in nodes.T], axis=1)
