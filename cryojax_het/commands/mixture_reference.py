"""The Gaussians that a method moves, in the frame and the units of the consensus map."""

import abc
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter

from ..analysis.fourier_resample import resample_box
from ..analysis.fsc import wiener_fsc
from ..structures.atoms import Atoms, read_atoms
from ..structures.beads import Beads, backbone_and_side_groups, beads
from ..structures.envelope import fitted_envelope, map_sums
from ..structures.map_fit import Search, placed
from ..structures.partition import residue_numbers
from ..structures.pseudo_atoms import Placement, pseudo_atoms
from ..volumes.gaussian_mixture import GaussianMixture, by_width
from .linear_consensus import Consensus
from .mixture_settings import MixtureSettings

LOG = logging.getLogger("cryojax_het")
_CLASSES = 6  # widths of beads of a structure: each costs a pass over the plane
_SHARE = 0.375  # of the map's resolution: width of a pseudo-atom
_FINENESS = 1.3  # voxels to such a width, at least
_LEAST = 0.25  # Å: no Gaussian becomes narrower
_FEEBLE = 0.3  # correlation with the map below which a structure is hardly in it


@final
@dataclass(frozen=True, kw_only=True)
class Reference:
    """A mixture in the frame of the poses, and the atoms that it stands for.

    - `follows`: of each atom, the Gaussian that it moves with;
    - `about`: numbers for the run's summary: how it was placed, scaled and blurred.
    """

    mixture: GaussianMixture
    atoms: Atoms
    follows: Int[np.ndarray, " j"]
    about: Mapping[str, Any] = field(default_factory=dict)


class AbstractGrain(abc.ABC):
    """Which atoms share a Gaussian."""

    @abc.abstractmethod
    def groups(self, atoms: Atoms) -> Int[np.ndarray, " j"]:
        """Number of the Gaussian of each atom, from 0."""


@final
class ByResidue(AbstractGrain):
    """One Gaussian to a residue."""

    def groups(self, atoms):
        return residue_numbers(atoms)


@final
class BackboneAndSide(AbstractGrain):
    """Two Gaussians to a residue."""

    def groups(self, atoms):
        return backbone_and_side_groups(atoms)


@final
class EveryAtom(AbstractGrain):
    """A Gaussian to an atom."""

    def groups(self, atoms):
        return np.arange(len(atoms))


GRAINS: Mapping[str, AbstractGrain] = {
    "residue": ByResidue(),
    "two": BackboneAndSide(),
    "atoms": EveryAtom(),
}


def reference_of(settings: MixtureSettings, consensus: Consensus) -> Reference:
    """From the structure that `settings` name, or else from the map.

    Raises `FileNotFoundError` and `ValueError` as the readers do, and where a structure does not
    correlate with the map.
    """
    if settings.structure is None:
        return of_map(settings, consensus)
    return of_structure(settings, structure_atoms(settings), consensus)


def structure_atoms(settings: MixtureSettings) -> Atoms:
    """The structure's atoms that are present, but hydrogens."""
    assert settings.structure is not None
    atoms = read_atoms(settings.structure)
    atoms = atoms.take((atoms.atomic_numbers != 1) & (atoms.occupancies > 0))
    if len(atoms) < 4:
        raise ValueError(f"{settings.structure} has {len(atoms)} atoms that are present: too few.")
    return atoms


def of_structure(settings: MixtureSettings, atoms: Atoms, consensus: Consensus) -> Reference:
    """Gaussians of a structure, placed in the map, as strong and as blurred as it wants them."""
    about: dict[str, Any] = {}
    if not settings.in_frame:
        atoms, about["correlation"] = _placed(settings, atoms, consensus)
    groups = GRAINS[settings.beads].groups(atoms)
    mixture, order, numbers = _scaled(beads(atoms, groups), consensus)
    LOG.info("%d Gaussians, blurred by %.2f Å².", len(order), numbers["blur_variance"])
    follows = np.argsort(order)[groups]
    return Reference(mixture=mixture, atoms=atoms, follows=follows, about=about | numbers)


def of_map(settings: MixtureSettings, consensus: Consensus) -> Reference:
    """Pseudo-atoms of the masked map; each is an atom of its own.

    They are fitted to the map blurred by their own width, where sums of positive Gaussians can come
    near it, on voxels fine enough for them, and are then narrowed to what the half-maps hold.
    """
    spacing, size = _spacing(consensus), len(consensus.mean)
    width = settings.pseudo_width or _SHARE * _resolution(consensus)
    finer = size * max(1, int(np.ceil(_FINENESS * spacing / width)))
    voxels = resample_box(np.asarray(consensus.mean * consensus.mask, np.float64), finer)
    step = spacing * size / finer
    how = Placement(width, settings.pseudo_residual)
    found = pseudo_atoms(gaussian_filter(voxels, width / step), step, how)
    model = Beads(found.positions, found.weights, np.full(len(found.weights), found.width))
    mixture, order, about = _scaled(model, consensus)
    about |= {"residual": found.residual, "width": found.width}
    LOG.info("%d pseudo-atoms leave %.3f of the blurred map.", len(order), found.residual)
    atoms = _as_atoms(found.positions[order])
    return Reference(mixture=mixture, atoms=atoms, follows=np.arange(len(order)), about=about)


def _scaled(model: Beads, consensus: Consensus):
    """Beads as a mixture as strong and as blurred as the half-maps want it, shells weighted by what
    signal has of their power; the order of its Gaussians; and the numbers."""
    weight = wiener_fsc(consensus.fsc)
    weight[consensus.last_shell + 1 :] = 0
    sums = map_sums(consensus.unfiltered() * consensus.mask, _spacing(consensus), model, weight)
    envelope = fitted_envelope(sums, _LEAST**2 - float(model.widths.min()) ** 2)
    widths = np.sqrt(model.widths**2 + envelope.variance)
    mixture, order = mixture_of(model.positions, envelope.scale * model.weights, widths)
    about = {"scale": envelope.scale, "blur_variance": envelope.variance, "gaussians": len(order)}
    return mixture, order, about


def mixture_of(
    positions: Float[np.ndarray, "b 3"],
    amplitudes: Float[np.ndarray, " b"],
    widths: Float[np.ndarray, " b"],
) -> tuple[GaussianMixture, Int[np.ndarray, " b"]]:
    """In single precision, widths gathered into a few classes of equal mean squares; and which of
    the given Gaussians each is."""
    real = lambda values: np.asarray(values, np.float32)
    return by_width(real(positions), real(amplitudes), real(_in_classes(widths)))


def _in_classes(widths: Float[np.ndarray, " b"]) -> Float[np.ndarray, " b"]:
    if len(np.unique(np.round(widths, 3))) <= _CLASSES:
        return np.round(widths, 3)
    gathered = np.empty_like(widths)
    for rows in np.array_split(np.argsort(widths, kind="stable"), _CLASSES):
        gathered[rows] = np.sqrt(np.mean(widths[rows] ** 2))
    return gathered


def _placed(settings: MixtureSettings, atoms: Atoms, consensus: Consensus):
    """Atoms in the map's frame, and the correlation there."""
    weights = atoms.atomic_numbers * atoms.occupancies
    spacing = _spacing(consensus)
    voxels = np.asarray(consensus.mean * consensus.mask, np.float64)
    found = placed(atoms.positions, weights, voxels, spacing, Search(_resolution(consensus)))
    LOG.info("%s placed in the map, correlation %.3f.", settings.structure, found.correlation)
    if found.correlation < _FEEBLE:
        raise ValueError(
            f"{settings.structure} correlates with the consensus map by {found.correlation:.2f} "
            "only, wherever it is placed: is it this molecule, bright on dark, of this hand?"
        )
    return atoms.at(found.applied(atoms.positions)), found.correlation


def _spacing(consensus: Consensus) -> float:
    return float(consensus.folder.volume("mean").voxel_size[0])


def _resolution(consensus: Consensus) -> float:
    return len(consensus.mean) * _spacing(consensus) / max(consensus.last_shell, 1)


def _as_atoms(positions: Float[np.ndarray, "a 3"]) -> Atoms:
    """Pseudo-atoms as alpha carbons of one chain, for files that viewers read."""
    count = len(positions)
    return Atoms(
        positions=np.asarray(positions, np.float64),
        atomic_numbers=np.full(count, 6),
        b_factors=np.zeros(count),
        occupancies=np.ones(count),
        chains=np.full(count, "A"),
        residues=np.arange(1, count + 1),
        residue_names=np.full(count, "GLY"),
        names=np.full(count, "CA"),
    )
