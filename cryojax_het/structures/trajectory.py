"""Trajectories of molecular dynamics, through mdtraj."""

from pathlib import Path
from typing import Any

import numpy as np

from .atoms import Atoms
from .frames import Frames

TRAJECTORIES = (".dcd", ".xtc", ".trr", ".nc")
_MISSING = "Trajectories need mdtraj: pip install 'cryojax_het[traj]'."


def read_trajectory(path: Path, topology: Path) -> Frames:
    """All frames of a trajectory (DCD, XTC and what else mdtraj reads), in Å, without waters.

    - `topology`: PSF or PDB file that names its atoms. B-factors are 0, occupancies 1.

    Raises `FileNotFoundError`; `ImportError` without mdtraj; `ValueError` where the two files do
    not fit each other or an atom has no element.
    """
    for file in (path, topology):
        if not Path(file).is_file():
            raise FileNotFoundError(f"{file} does not exist.")
    try:
        import mdtraj
    except ImportError as error:
        raise ImportError(_MISSING) from error
    try:
        held = mdtraj.load(str(path), top=str(topology))
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        message = f"{path} cannot be read with the topology {topology}: {error}"
        raise ValueError(message) from error
    frames = 10.0 * held.xyz.astype(np.float64)
    whole = Frames(atoms=_atoms(held.topology, frames[0], topology), positions=frames)
    solvent = np.array([atom.residue.is_water for atom in held.topology.atoms])
    return whole.take(~solvent)


def _atoms(topology: Any, positions: np.ndarray, origin: Path) -> Atoms:
    atoms = list(topology.atoms)
    for row, atom in enumerate(atoms):
        if atom.element is None or atom.element.atomic_number == 0:
            raise ValueError(f"{origin}: atom {row + 1} ({atom}) has no known element.")
    chain = lambda atom: atom.residue.chain.chain_id or atom.residue.segment_id or "A"
    return Atoms(
        positions=positions,
        atomic_numbers=np.array([atom.element.atomic_number for atom in atoms], np.int64),
        b_factors=np.zeros(len(atoms)),
        occupancies=np.ones(len(atoms)),
        chains=np.array([chain(atom) for atom in atoms]),
        residues=np.array([atom.residue.resSeq for atom in atoms], np.int64),
        residue_names=np.array([atom.residue.name for atom in atoms]),
        names=np.array([atom.name for atom in atoms]),
    )
