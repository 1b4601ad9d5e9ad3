"""A small helix of C-alpha, whose geometry is known."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def helix():
    """An alpha helix of 14 residues: 1.5 Å rise and 100° each, 3.8 Å apart."""
    turn = np.deg2rad(100) * np.arange(14)
    return np.stack([2.3 * np.cos(turn), 2.3 * np.sin(turn), 1.5 * np.arange(14)], axis=1)
