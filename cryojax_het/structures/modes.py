"""Normal modes of an elastic network: the softest ways in which a structure deforms."""

import abc
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float

from .hessian import rigid_motions, stiffness_scale
from .network import Network

LOOSE = 1e-6  # of the network's largest stiffness: a motion that costs less is taken to be free


class Modes(NamedTuple):
    """Eigenvalues in units of the spring constant, and unit eigenvectors, the softest first."""

    eigenvalues: Float[np.ndarray, " k"]
    vectors: Float[np.ndarray, "k n 3"]


class AbstractModeSolver(eqx.Module):
    """A way to find the soft end of the spectrum of a Hessian."""

    @abc.abstractmethod
    def softest(self, network: Network, count: int) -> Modes:
        """The `count` softest modes after the rigid motions, which are projected out.

        Loose parts of the network show as further eigenvalues of zero.
        """


def normal_modes(network: Network, count: int, solver: AbstractModeSolver) -> Modes:
    """The `count` softest modes after the six rigid motions, each with its largest component
    positive.

    Raises `ValueError` for more modes than there are, for nodes on a line, and where the network
    falls apart or is loose: more than six motions then cost nothing.
    """
    nodes = len(network.positions)
    if nodes < 3 or rigid_motions(network.positions).shape[1] < 6:
        raise ValueError(f"An elastic network needs 3 nodes that lie on no line. Got {nodes}.")
    if not 1 <= count <= 3 * nodes - 6:
        raise ValueError(f"{nodes} nodes have 1 to {3 * nodes - 6} modes. Got {count}.")
    modes = solver.softest(network, count)
    if modes.eigenvalues[0] < LOOSE * stiffness_scale(network):
        raise ValueError(
            "The network has loose parts, which move at no cost: increase the cutoff, or leave "
            "them out."
        )
    return modes


def sorted_modes(eigenvalues: Float[np.ndarray, " k"], vectors: Float[np.ndarray, "m k"]) -> Modes:
    """Modes from the columns of an eigenproblem, softest first, signs settled."""
    order = np.argsort(eigenvalues)
    rows = vectors.T[order]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return Modes(eigenvalues[order], (rows * np.sign(largest)).reshape(len(order), -1, 3))
