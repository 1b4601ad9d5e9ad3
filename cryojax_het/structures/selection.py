"""Selections of atoms by chain, residue, name and segment."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from jaxtyping import Bool, Int

from .atoms import Atoms


@final
@dataclass(frozen=True, kw_only=True)
class Selection:
    """Atoms that meet every condition given; a condition left out is met by all."""

    chains: tuple[str, ...] = ()
    """Names of chains."""
    residues: tuple[int, int] | None = None
    """First and last residue number, both included."""
    names: tuple[str, ...] = ()
    """Names of atoms, such as CA."""
    segments: tuple[int, ...] = ()
    """Numbers of segments, from 0 (see `segment_numbers`)."""

    def mask(self, atoms: Atoms) -> Bool[np.ndarray, " j"]:
        """True for each atom selected. Raises `ValueError` where there is none."""
        keep = np.ones(len(atoms), bool)
        if self.chains:
            keep &= np.isin(atoms.chains, self.chains)
        if self.residues is not None:
            first, last = self.residues
            keep &= (atoms.residues >= first) & (atoms.residues <= last)
        if self.names:
            keep &= np.isin(atoms.names, self.names)
        if self.segments:
            keep &= np.isin(segment_numbers(atoms), self.segments)
        if not keep.any():
            raise ValueError(f"No atom has {self}. There are {_what_there_is(atoms)}.")
        return keep

    def __str__(self) -> str:
        given = [f"{f.name} {getattr(self, f.name)}" for f in fields(self) if getattr(self, f.name)]
        return ", ".join(given) or "any place"


def select(atoms: Atoms, selections: Sequence[Selection]) -> Bool[np.ndarray, " j"]:
    """Atoms that at least one of `selections` picks. Raises `ValueError` where one picks none, and
    where no selection is given."""
    if not selections:
        raise ValueError("At least one selection is needed. Got none.")
    return np.any([selection.mask(atoms) for selection in selections], axis=0)


def segment_numbers(atoms: Atoms) -> Int[np.ndarray, " j"]:
    """Number of the segment of each atom, from 0: a new one starts where the chain changes or the
    residue number falls, as where many molecules share one chain name."""
    starts = (atoms.chains[1:] != atoms.chains[:-1]) | (np.diff(atoms.residues) < 0)
    return np.concatenate([[0], np.cumsum(starts)]).astype(np.int64)


def _what_there_is(atoms: Atoms) -> str:
    chains = [
        f"{chain} ({atoms.residues[mine].min()} to {atoms.residues[mine].max()})"
        for chain in np.unique(atoms.chains)
        for mine in [atoms.chains == chain]
    ]
    return f"chains {', '.join(chains)} and {segment_numbers(atoms)[-1] + 1} segments"
