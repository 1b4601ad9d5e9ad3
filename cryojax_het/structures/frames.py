"""Several conformations of one molecule, read from multi-model files or from numbered files."""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from .atoms import Atoms, atoms_of, read_atoms, read_structure
from .superpose import superposed

ARCHIVES = (".tar.gz", ".tgz", ".tar")
_MODELS = (".pdb", ".ent", ".cif", ".mmcif")


@final
@dataclass(frozen=True, kw_only=True)
class Frames:
    """F conformations of J atoms: `atoms` at the first, and `positions` `[f, j, 3]` of all, Å."""

    atoms: Atoms
    positions: Float[np.ndarray, "f j 3"]

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, keep: Bool[np.ndarray, " j"] | Int[np.ndarray, " m"]) -> "Frames":
        """The atoms, in all frames, that a mask or a list of indices picks."""
        return Frames(atoms=self.atoms.take(keep), positions=self.positions[:, keep])

    def superposed(self) -> "Frames":
        """Every frame moved rigidly onto the first, by all atoms."""
        return replace(self, positions=superposed(self.positions, self.positions[0]))


def read_models(path: Path) -> Frames:
    """All models of a PDB or mmCIF file, or one frame from each structure file of a folder or tar
    archive, in the order of the numbers in their names (`frame_2` before `frame_10`).

    Raises `FileNotFoundError`; `ValueError` where there is no frame, or where a frame's atoms are
    not those of the first: it names frame and atom. Otherwise as `read_atoms` does.
    """
    path = Path(path)
    if path.is_dir():
        return _matched(_folder(path))
    if path.name.endswith(ARCHIVES):
        return _matched(_archive(path))
    structure = read_structure(path)
    labelled = ((f"{path}, model {i + 1}", model) for i, model in enumerate(structure))
    return _matched([(origin, atoms_of(model, origin)) for origin, model in labelled])


def natural_order(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Key that sorts names by the values of the numbers in them."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts)


def _folder(folder: Path) -> list[tuple[str, Atoms]]:
    names = lambda file: file.name.removesuffix(".gz")
    files = [file for file in folder.rglob("*") if names(file).endswith(_MODELS)]
    # Archives made on a Mac hold a hidden twin of every file.
    files = sorted((file for file in files if not file.name.startswith(".")), key=natural_order)
    return [(file.name, read_atoms(file)) for file in files]


def _archive(path: Path) -> list[tuple[str, Atoms]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    with TemporaryDirectory() as folder:
        try:
            for number, (name, content) in enumerate(_members(path)):
                # A folder each keeps equal names apart; nothing of the archive's own paths is used.
                place = Path(folder) / str(number)
                place.mkdir()
                (place / name).write_bytes(content)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ValueError(f"{path} cannot be read as a tar archive: {error}") from error
        return _folder(Path(folder))


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield Path(member.name).name, file.read()


def _matched(frames: list[tuple[str, Atoms]]) -> Frames:
    if not frames:
        raise ValueError(f"No frame was found: expected files ending in {', '.join(_MODELS)}.")
    first_name, first = frames[0]
    for name, atoms in frames[1:]:
        _check_same(first_name, first, name, atoms)
    return Frames(atoms=first, positions=np.stack([atoms.positions for _, atoms in frames]))


def _check_same(first_name: str, first: Atoms, name: str, atoms: Atoms) -> None:
    count = min(len(first), len(atoms))
    differs = np.zeros(count, bool)
    for column in ("names", "residues", "chains", "atomic_numbers"):
        differs |= getattr(first, column)[:count] != getattr(atoms, column)[:count]
    if differs.any():
        row = int(np.argmax(differs))
        raise ValueError(
            f"Frames must hold the same atoms in the same order. Atom {row + 1} is "
            f"{first.label(row)} in {first_name} and {atoms.label(row)} in {name}."
        )
    if len(first) != len(atoms):
        raise ValueError(
            f"Frames must hold the same atoms. {first_name} has {len(first)} and {name} has "
            f"{len(atoms)}."
        )
