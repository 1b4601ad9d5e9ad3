"""Conformations written as a trajectory of coordinates alone, through mdtraj."""

from pathlib import Path

import numpy as np

from .frames import Frames

_MISSING = "Trajectories need mdtraj: pip install 'cryojax_het[traj]'."


def write_dcd(path: Path, frames: Frames) -> None:
    """All frames as a DCD file, single precision, Å; its first frame written as PDB or mmCIF
    (`write_models`) is a topology for it. Raises `ImportError` without mdtraj."""
    try:
        from mdtraj.formats import DCDTrajectoryFile
    except ImportError as error:
        raise ImportError(_MISSING) from error
    with DCDTrajectoryFile(str(path), "w") as file:
        file.write(np.ascontiguousarray(frames.positions, np.float32))
