"""The normal modes that a reference is moved along: soft ones in which much of it takes part."""

import logging
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from ..structures.atoms import Atoms
from ..structures.collective_modes import collective_modes, usual_reach
from ..structures.cutoff import holding_network
from ..structures.modes import Modes
from ..structures.nearest_nodes import nearest_nodes
from ..structures.network import Network, UniformSprings
from ..structures.partition import residue_numbers
from .mixture_reference import Reference
from .mixture_settings import MixtureSettings

LOG = logging.getLogger("cryojax_het")
_RESIDUES = 15.0  # Å: cutoff for one node to a residue


@final
@dataclass(frozen=True, kw_only=True)
class ModeBasis:
    """Modes of a reference, the softest first.

    - `vectors` of each Gaussian, Å per unit of amplitude: an amplitude is the root mean square
      displacement of the network's nodes, Å. `eigenvalues`: stiffness of each over the first's.
    - `collectivity` of each; `dropped`: how many softer ones were dangling ends; `cutoff`, Å.
    """

    vectors: Float[np.ndarray, "k j 3"]
    eigenvalues: Float[np.ndarray, " k"]
    collectivity: Float[np.ndarray, " k"]
    dropped: int
    cutoff: float


def basis_of(
    settings: MixtureSettings, reference: Reference, count: int, cutoff: float | None
) -> ModeBasis:
    """Of the structure that `settings` name, or else of the map's pseudo-atoms."""
    of = basis_of_map if settings.structure is None else basis_of_structure
    return of(reference, count, cutoff)


def basis_of_structure(reference: Reference, count: int, cutoff: float | None) -> ModeBasis:
    """One node to a residue, at its alpha carbon or phosphorus; its atoms move with it. The cutoff
    is the least from 15 Å on that holds the network together, or the one given."""
    atoms = reference.atoms
    nodes = residue_nodes(atoms)
    network = _network(atoms.positions[nodes], cutoff, _RESIDUES)
    modes, share, dropped = collective_modes(network, count)
    moved = modes.vectors[:, nearest_nodes(atoms, nodes)]
    return _basis(reference, network, modes, moved, (share, dropped))


def basis_of_map(reference: Reference, count: int, cutoff: float | None) -> ModeBasis:
    """Every pseudo-atom is a node. The cutoff is the least that holds them together, from where all
    but one in twenty have eight neighbours, or the one given."""
    positions = reference.atoms.positions
    network = _network(positions, cutoff, usual_reach(positions))
    modes, share, dropped = collective_modes(network, count)
    return _basis(reference, network, modes, modes.vectors, (share, dropped))


def residue_nodes(atoms: Atoms) -> Int[np.ndarray, " n"]:
    """Row of the alpha carbon or phosphorus of each residue, or else of its first atom."""
    residue = residue_numbers(atoms)
    preferred = np.isin(atoms.names, ["CA", "P"]) & (atoms.atomic_numbers != 20)
    order = np.lexsort((np.arange(len(residue)), ~preferred, residue))
    return order[np.unique(residue[order], return_index=True)[1]].astype(np.int64)


def _network(positions, cutoff: float | None, shortest: float) -> Network:
    if cutoff is None:
        return holding_network(positions, shortest)
    return UniformSprings(cutoff).network(positions)


def _basis(reference: Reference, network: Network, modes: Modes, moved, about) -> ModeBasis:
    """Of vectors `moved` of each atom, their means over the atoms of each Gaussian."""
    share, dropped = about
    if dropped:
        LOG.info("%d soft modes of dangling ends are left out.", dropped)
    count = len(reference.mixture.amplitudes)
    members = np.bincount(reference.follows, minlength=count)
    mean = lambda column: np.bincount(reference.follows, column, count) / members
    vectors = np.stack([np.stack([mean(axis) for axis in one.T], axis=1) for one in moved])
    ends = network.positions[network.pairs]
    return ModeBasis(
        vectors=np.sqrt(len(network.positions)) * vectors,
        eigenvalues=modes.eigenvalues / modes.eigenvalues[0],
        collectivity=share,
        dropped=dropped,
        cutoff=float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).max()),
    )
