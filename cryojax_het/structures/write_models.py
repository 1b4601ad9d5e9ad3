"""Conformations written as the models of one PDB or mmCIF file, which ChimeraX plays."""

from collections import Counter
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from .atoms import Atoms
from .frames import Frames
from .selection import segment_numbers

_MOST_ATOMS, _FARTHEST = 99_999, 999.0  # of what the columns of the PDB format have room for
_ALTERNATIVES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def write_mmcif(path: Path, frames: Frames) -> None:
    """All frames as models 1, 2, ... of an mmCIF file.

    Molecules that share a chain name (see `segment_numbers`) become chains A, A-2, A-3, ...: the
    format tells them apart by nothing else.
    """
    atoms = replace(frames.atoms, chains=_own_names(frames.atoms))
    structure = _structure(replace(frames, atoms=atoms))
    structure.make_mmcif_document().write_file(str(path))


def write_pdb(path: Path, frames: Frames) -> None:
    """All frames as models 1, 2, ... of a PDB file, coordinates rounded to 0.001 Å.

    Raises `ValueError` where the columns of the format are too narrow for the number of atoms, the
    names of chains, or the coordinates.
    """
    letters = max(len(str(chain)) for chain in np.unique(frames.atoms.chains))
    farthest = np.abs(frames.positions).max()
    if len(frames.atoms) > _MOST_ATOMS or letters > 2 or farthest > _FARTHEST:
        raise ValueError(
            f"A PDB file has room for {_MOST_ATOMS:,} atoms, chains of 2 letters and {_FARTHEST:g} "
            f"Å. Got {len(frames.atoms):,} atoms, chains of {letters} and {farthest:.0f} Å: write "
            "mmCIF."
        )
    import gemmi

    # A crystal there is none of: viewers warn of the record that would stand for it.
    _structure(frames).write_pdb(str(path), gemmi.PdbWriteOptions(cryst1_record=False))


def _own_names(atoms: Atoms) -> Shaped[np.ndarray, " j"]:
    segments = segment_numbers(atoms)
    starts = np.flatnonzero(np.diff(segments, prepend=-1))
    names, seen = [], Counter()
    for chain in atoms.chains[starts].tolist():
        seen[chain] += 1
        names.append(chain if seen[chain] == 1 else f"{chain}-{seen[chain]}")
    return np.array(names)[segments]


def _structure(frames: Frames) -> Any:
    """gemmi's `Structure`, one model a frame."""
    import gemmi

    structure = gemmi.Structure()
    structure.name = "cryojax_het"
    first = _model(frames.atoms)
    for number, positions in enumerate(frames.positions, start=1):
        model = structure.add_model(first)
        model.num = number
        atoms = (atom for chain in model for residue in chain for atom in residue)
        for atom, position in zip(atoms, positions.tolist(), strict=True):
            atom.pos = gemmi.Position(*position)
    structure.setup_entities()
    return structure


def _model(atoms: Atoms) -> Any:
    import gemmi

    model = gemmi.Model(1)
    keys = zip(
        segment_numbers(atoms).tolist(),
        atoms.chains.tolist(),
        atoms.residues.tolist(),
        atoms.residue_names.tolist(),
        strict=True,
    )
    rows = enumerate(keys)
    for (_, chain_name), segment in groupby(rows, key=lambda row: row[1][:2]):
        chain = model.add_chain(gemmi.Chain(chain_name))
        for (number, name), members in groupby(segment, key=lambda row: row[1][2:]):
            chain.add_residue(_residue(atoms, number, name, [row for row, _ in members]))
    return model


def _residue(atoms: Atoms, number: int, name: str, rows: list[int]) -> Any:
    """Atoms of one name are alternative conformations, and marked so."""
    import gemmi

    residue = gemmi.Residue()
    residue.name, residue.seqid = name, gemmi.SeqId(number, " ")
    residue.het_flag = "A" if gemmi.find_tabulated_residue(name).is_standard() else "H"
    often, seen = Counter(atoms.names[rows].tolist()), Counter()
    for row in rows:
        atom = gemmi.Atom()
        atom.name = str(atoms.names[row])
        atom.element = gemmi.Element(int(atoms.atomic_numbers[row]))
        atom.b_iso, atom.occ = float(atoms.b_factors[row]), float(atoms.occupancies[row])
        if often[atom.name] > 1:
            atom.altloc = _ALTERNATIVES[seen[atom.name] % len(_ALTERNATIVES)]
            seen[atom.name] += 1
        residue.add_atom(atom)
    return residue
