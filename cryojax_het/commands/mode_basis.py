"""The normal modes that a reference is moved along: soft ones in which much of it takes part."""

import logging
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from ..structures.atoms import Atoms
from ..structures.collectivity import collectivity
from ..structures.cutoff import holding_network
from ..structures.mode_solver import suited_solver
from ..structures.modes import Modes, normal_modes
from ..structures.nearest_nodes import nearest_nodes
from ..structures.network import Network, UniformSprings
from ..structures.partition import residue_numbers
from .mixture_reference import Reference
from .mixture_settings import MixtureSettings

LOG = logging.getLogger("cryojax_het")
_RESIDUES = 15.0  # Å: cutoff for one node to a residue
_HELD_BY = 8  # neighbours that a pseudo-atom has within the cutoff, but for one in twenty
_COLLECTIVE = 0.15  # below it a mode is a dangling end
_SPARE = 20  # modes looked at beyond those wanted, for each one found


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
    from scipy.spatial import KDTree

    positions = reference.atoms.positions
    near = min(_HELD_BY, len(positions) - 1)
    apart = np.asarray(KDTree(positions).query(positions, near + 1)[0])[:, -1]
    network = _network(positions, cutoff, float(np.quantile(apart, 0.95)))
    modes, share, dropped = collective_modes(network, count)
    return _basis(reference, network, modes, modes.vectors, (share, dropped))


def residue_nodes(atoms: Atoms) -> Int[np.ndarray, " n"]:
    """Row of the alpha carbon or phosphorus of each residue, or else of its first atom."""
    residue = residue_numbers(atoms)
    preferred = np.isin(atoms.names, ["CA", "P"]) & (atoms.atomic_numbers != 20)
    order = np.lexsort((np.arange(len(residue)), ~preferred, residue))
    return order[np.unique(residue[order], return_index=True)[1]].astype(np.int64)


def collective_modes(network: Network, count: int) -> tuple[Modes, Float[np.ndarray, " k"], int]:
    """The `count` softest modes of collectivity 0.15 or more, that of each, and how many softer
    ones are left out: ends that dangle. `ValueError` where there are not so many."""
    nodes = len(network.positions)
    most = min(count + _SPARE * count, 3 * nodes - 6)
    found = normal_modes(network, most, suited_solver(nodes))
    share = collectivity(found.vectors)
    kept = np.flatnonzero(share >= _COLLECTIVE)[:count]
    if len(kept) < count:
        raise ValueError(
            f"Only {len(kept)} of the {most} softest modes move a good part of the molecule: ask "
            "for fewer by `--modes`, or a longer `--cutoff`."
        )
    dropped = int(kept[-1] + 1 - count)
    if dropped:
        LOG.info("%d soft modes of dangling ends are left out.", dropped)
    return Modes(found.eigenvalues[kept], found.vectors[kept]), share[kept], dropped


def _network(positions, cutoff: float | None, shortest: float) -> Network:
    if cutoff is None:
        return holding_network(positions, shortest)
    return UniformSprings(cutoff).network(positions)


def _basis(reference: Reference, network: Network, modes: Modes, moved, about) -> ModeBasis:
    """Of vectors `moved` of each atom, their means over the atoms of each Gaussian."""
    share, dropped = about
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
