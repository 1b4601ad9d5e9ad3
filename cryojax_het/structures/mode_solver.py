"""The solver that suits a network's size."""

from .modes import AbstractModeSolver
from .shift_invert import ShiftInvertLanczos
from .two_level import TwoLevelDavidson


def suited_solver(nodes: int) -> AbstractModeSolver:
    """Factorised up to 4,000 nodes, iterative above: the quicker of the two, and the one that needs
    less memory, as measured on proteins and a ribosome at 8 to 20 Å."""
    return ShiftInvertLanczos() if nodes <= 4000 else TwoLevelDavidson()
