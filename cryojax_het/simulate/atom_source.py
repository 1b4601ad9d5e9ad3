"""Atoms and frames of a source of any kind, with further parts placed beside it."""

from pathlib import Path

import numpy as np

from ..structures.atoms import joined, read_atoms
from ..structures.frames import ARCHIVES, Frames, read_models
from ..structures.trajectory import TRAJECTORIES, read_trajectory
from .motion_settings import AtomSettings, Part

STRUCTURES = (".pdb", ".ent", ".cif", ".mmcif")


def read_source(path: Path, settings: AtomSettings, folder: Path, moves: bool) -> Frames:
    """All frames of a source where it `moves`, else the first model alone.

    - `path`: a structure file, a folder or tar archive of frames, or a trajectory with
      `settings.topology`. `folder`: where relative names of the settings are.

    Raises as the readers do, and `ValueError` for a trajectory without topology.
    """
    frames = _frames(path, settings, folder, moves)
    if not settings.hydrogens:
        frames = frames.take(frames.atoms.atomic_numbers != 1)
    if settings.superpose:
        frames = frames.superposed()
    for part in settings.parts:
        frames = _beside(frames, part, folder)
    return frames


def is_structure(path: Path) -> bool:
    """Whether the name is one that `read_source` knows, or a folder."""
    name = path.name.lower()
    return (
        path.is_dir()
        or name.removesuffix(".gz").endswith(STRUCTURES + TRAJECTORIES)
        or name.endswith(ARCHIVES)
    )


def _frames(path: Path, settings: AtomSettings, folder: Path, moves: bool) -> Frames:
    if path.suffix.lower() in TRAJECTORIES:
        if settings.topology is None:
            raise ValueError(
                f"{path} is a trajectory: name its PSF or PDB file in `motion.atoms.topology`."
            )
        return read_trajectory(path, folder / settings.topology)
    if moves or path.is_dir() or path.name.endswith(ARCHIVES):
        return read_models(path)
    atoms = read_atoms(path)
    return Frames(atoms=atoms, positions=atoms.positions[None])


def _beside(frames: Frames, part: Part, folder: Path) -> Frames:
    from scipy.spatial.transform import Rotation

    atoms = read_atoms(folder / part.path)
    middle = atoms.positions.mean(axis=0)
    centre = middle if part.centre is None else np.array(part.centre)
    turn = Rotation.from_rotvec(part.rotation, degrees=True)
    atoms = atoms.at(turn.apply(atoms.positions - middle) + centre)
    still = np.broadcast_to(atoms.positions, (len(frames), *atoms.positions.shape))
    return Frames(
        atoms=joined([frames.atoms, atoms]),
        positions=np.concatenate([frames.positions, still], axis=1),
    )
