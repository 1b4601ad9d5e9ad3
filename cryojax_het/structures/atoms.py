"""Atoms of a molecule, read from PDB or mmCIF files."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


@final
@dataclass(frozen=True, kw_only=True)
class Atoms:
    """J atoms, in the order of the file.

    - `positions` (x, y, z) Å; `atomic_numbers`; `b_factors` Å² (isotropic); `occupancies`;
    - `chains`, `residues` (sequence number), `residue_names`, `names`: where each atom belongs, for
      selections and files.
    """

    positions: Float[np.ndarray, "j 3"]
    atomic_numbers: Int[np.ndarray, " j"]
    b_factors: Float[np.ndarray, " j"]
    occupancies: Float[np.ndarray, " j"]
    chains: Shaped[np.ndarray, " j"]
    residues: Int[np.ndarray, " j"]
    residue_names: Shaped[np.ndarray, " j"]
    names: Shaped[np.ndarray, " j"]

    def __len__(self) -> int:
        return len(self.positions)

    def take(self, keep: Bool[np.ndarray, " j"] | Int[np.ndarray, " m"]) -> "Atoms":
        """The atoms that a mask or a list of indices picks."""
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})

    def centred(self) -> "Atoms":
        """Moved so that the mean position is the origin."""
        return replace(self, positions=self.positions - self.positions.mean(axis=0))

    def at(self, positions: Float[np.ndarray, "j 3"]) -> "Atoms":
        """The same atoms elsewhere."""
        return replace(self, positions=positions)

    def label(self, row: int) -> str:
        """Name, residue and chain of an atom, for messages."""
        return f"{self.names[row]} of residue {self.residues[row]}, chain {self.chains[row]}"

    def with_b_factor(self, b_factor: float) -> "Atoms":
        """With one B-factor (Å²) for all, for files whose column holds something else."""
        return replace(self, b_factors=np.full(len(self), float(b_factor)))


def read_atoms(path: Path, model: int = 1) -> Atoms:
    """Atoms of one model (numbered from 1) of a PDB or mmCIF file, `.gz` or not; no waters.

    Alternative conformations are all kept, with their occupancies. Raises `FileNotFoundError`;
    `ValueError` where the file cannot be parsed, lacks the model, holds no atoms, or an atom has
    no known element.
    """
    structure = read_structure(path)
    if not 1 <= model <= len(structure):
        raise ValueError(f"{path} has {len(structure)} models with atoms. Got `model` {model}.")
    return atoms_of(structure[model - 1], str(path))


def joined(parts: Sequence[Atoms]) -> Atoms:
    """The atoms of several molecules, one after the other."""
    columns = {f.name: [getattr(part, f.name) for part in parts] for f in fields(Atoms)}
    return Atoms(**{name: np.concatenate(values) for name, values in columns.items()})


def read_structure(path: Path) -> Any:
    """gemmi's `Structure` of a PDB or mmCIF file, without waters. Raises as `read_atoms` does."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    try:
        structure = _read_in_order(str(path))
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as PDB or mmCIF: {error}") from error
    structure.remove_waters()
    return structure


def _read_in_order(path: str) -> Any:
    import gemmi

    # Unsplit, residues of one number and name in several molecules of one chain would be merged.
    if path.lower().removesuffix(".gz").endswith((".pdb", ".ent")):
        return gemmi.read_pdb(path, split_chain_on_ter=True)
    return gemmi.read_structure(path, merge_chain_parts=False)


def atoms_of(model: Any, origin: str) -> Atoms:
    """Atoms of one of gemmi's models; `origin` names it in messages."""
    rows = [
        (*_of_atom(atom), chain.name, residue.seqid.num, residue.name, atom.name)
        for chain in model
        for residue in chain
        for atom in residue
    ]
    if not rows:
        raise ValueError(f"{origin} holds no atoms (waters are left out).")
    columns = zip(*rows, strict=True)
    positions, numbers, b_factors, occupancies, chains, residues, kinds, names = columns
    _check_elements(origin, numbers, chains, residues, names)
    return Atoms(
        positions=np.array(positions, np.float64),
        atomic_numbers=np.array(numbers, np.int64),
        b_factors=np.array(b_factors, np.float64),
        occupancies=np.array(occupancies, np.float64),
        chains=np.array(chains),
        residues=np.array(residues, np.int64),
        residue_names=np.array(kinds),
        names=np.array(names),
    )


def _of_atom(atom):
    return atom.pos.tolist(), atom.element.atomic_number, atom.b_iso, atom.occ


def _check_elements(path, numbers, chains, residues, names):
    for row, number in enumerate(numbers):
        if number == 0:
            raise ValueError(
                f"{path}: atom {row + 1} ({names[row]} of residue {residues[row]}, chain "
                f"{chains[row]}) has no known element: fill the element column."
            )
