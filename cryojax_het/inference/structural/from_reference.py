"""All restraints of a molecule, at rest in a reference structure."""

from dataclasses import dataclass
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ...structures.connectivity import Connectivity
from .angles import angles_at_rest
from .bonds import bonds_at_rest
from .clash import clash_at
from .dihedrals import dihedrals_at_rest
from .elastic import elastic_network
from .restraint import AbstractRestraint, Restraints


@final
@dataclass(frozen=True, kw_only=True)
class Tolerances:
    """Standard deviations of what may change: Å, radians for angles; and the elastic network's
    cut-off (Å) and fraction of pairs to release.

    The defaults are for one or two beads to a residue. Atoms have stiffer bonds, of 0.02 to 0.05 Å.
    """

    bond: float = 0.1
    angle: float = 0.15
    dihedral: float = 0.5
    clash: float = 0.3
    elastic: float = 1.0
    cutoff: float = 12.0
    released: float = 0.01
    skin: float = 4.0


def restraints_at(
    reference: Float[np.ndarray, "j 3"],
    bonded: Connectivity,
    radii: Float[np.ndarray, " j"],
    tolerances: Tolerances,
    chains: Int[np.ndarray, " j"] | None = None,
) -> Restraints:
    """Bonds, angles, dihedrals, clash and elastic network, each of weight 1.

    - `radii`: halves of contact distances, Å: 2 for C-alpha, `contact_radii` for atoms;
    - `chains`: numbers of rigidly independent parts, between which the network has no pairs.
    """
    t = tolerances
    network = elastic_network(reference, t.cutoff, t.elastic, chains, t.released)
    terms: dict[str, AbstractRestraint] = {
        "bonds": bonds_at_rest(bonded.bonds, reference, t.bond),
        "angles": angles_at_rest(bonded.angles, reference, t.angle),
        "dihedrals": dihedrals_at_rest(bonded.torsions, reference, t.dihedral),
        "clash": clash_at(reference, radii, bonded.near, t.clash, t.skin),
        "elastic": network,
    }
    return Restraints(terms, {name: jnp.ones(()) for name in terms})
