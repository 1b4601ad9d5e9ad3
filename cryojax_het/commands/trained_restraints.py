"""What the Gaussians of a trained mixture should look like beside the images."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..inference.structural.elastic import elastic_network
from ..inference.structural.from_reference import Tolerances, restraints_at
from ..inference.structural.restraint import AbstractRestraint, Restraints
from ..inference.training.balance import AbstractBalance, AsGivenBalance, BalancedGradients
from ..structures.connectivity import connectivity
from ..structures.covalent import bead_bonds, contact_radii, covalent_bonds
from .mixture_reference import Reference
from .trained_settings import TrainedSettings

_RADII = {"residue": 2.0, "two": 1.75}  # Å, half of how near two beads come
_NEAREST = 1.5  # of the mean distance of nearest pseudo-atoms: how far their network reaches


def restraints_of(settings: TrainedSettings, reference: Reference) -> Restraints | None:
    """The terms of positive weight; None where there is none."""
    weights = {name: weight for name, weight in settings.restraints().items() if weight > 0}
    if not weights:
        return None
    made = of_map if settings.structure is None else of_chain
    terms = made(settings, reference)
    return Restraints(
        {name: terms[name] for name in weights},
        {name: jnp.float32(weight) for name, weight in weights.items()},
    )


def of_chain(settings: TrainedSettings, reference: Reference) -> Mapping[str, AbstractRestraint]:
    """Of beads or atoms of a structure, bonded where its atoms are, at rest as they are."""
    rest = np.asarray(reference.mixture.positions, np.float64)
    bonds = bead_bonds(reference.follows, covalent_bonds(reference.atoms))
    radii = _radii(settings, reference, len(rest))
    tolerances = Tolerances(
        bond=settings.bond_width, elastic=settings.elastic_width, released=settings.released
    )
    return restraints_at(rest, connectivity(bonds), radii, tolerances).terms


def of_map(settings: TrainedSettings, reference: Reference) -> Mapping[str, AbstractRestraint]:
    """Of pseudo-atoms, which have no chain: an elastic network between neighbours."""
    from scipy.spatial import KDTree

    rest = np.asarray(reference.mixture.positions, np.float64)
    nearest = float(np.mean(KDTree(rest).query(rest, 2)[0][:, 1]))
    width, released = settings.elastic_width, settings.released
    return {"elastic": elastic_network(rest, _NEAREST * nearest, width, None, released)}


def balance_of(settings: TrainedSettings) -> AbstractBalance:
    """Energies as they are, or as strong as the images."""
    if settings.balance is None:
        return AsGivenBalance()
    return BalancedGradients(settings.balance)


def _radii(settings: TrainedSettings, reference: Reference, count: int) -> Float[np.ndarray, " j"]:
    if settings.beads in _RADII:
        return np.full(count, _RADII[settings.beads])
    radii = np.empty(count)
    of_atom: Int[np.ndarray, " j"] = reference.follows
    radii[of_atom] = contact_radii(reference.atoms)
    return radii
