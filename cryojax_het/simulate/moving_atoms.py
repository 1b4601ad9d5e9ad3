"""A molecule of atoms that moves: projected exactly, in whatever state."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..imaging.grid import FourierGrid
from ..structures.atoms import Atoms
from .base import AbstractMolecule
from .motions.base import AbstractMotion, Conformer
from .motions.hinge import FixedPoint, hinge
from .potential import AtomGroup, AtomicPotential, PreparedPotential, element_groups
from .states import Coordinate


class AtomKind(NamedTuple):
    """Rows of the atoms of one group, and the group with their share in it: 1, or 0 for those
    that only fill it up."""

    rows: Int[Array, " g"]
    group: AtomGroup


class MovingAtoms(AbstractMolecule):
    """`F(k; z) = Σ_j o_j(z) f_j(|k|) exp(-B_j k²/4) exp(-2πi k·r_j(z))`: the potential of atoms
    that `motion` moves from `reference`; the latent is the value of each of its coordinates."""

    reference: Conformer
    motion: AbstractMotion
    kinds: tuple[AtomKind, ...]
    latent_size: int = eqx.field(static=True)

    def conformer(self, latent):
        return self.motion(self.reference, latent)

    def at(self, latent: Float[Array, " d"]) -> AtomicPotential:
        """The rigid molecule of one state."""
        conformer = self.conformer(latent)

        def moved(kind):
            return AtomGroup(
                positions=conformer.positions[kind.rows],
                b_factors=kind.group.b_factors,
                occupancies=kind.group.occupancies * conformer.occupancies[kind.rows],
                a=kind.group.a,
                b=kind.group.b,
            )

        return AtomicPotential(groups=tuple(moved(kind) for kind in self.kinds))

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        tables = AtomicPotential(groups=tuple(kind.group for kind in self.kinds)).prepare(grid)
        return PreparedMovingAtoms(
            source=self,
            envelopes=tables.envelopes,
            factors=tables.factors,
            latent_size=self.latent_size,
        )


class PreparedMovingAtoms(AbstractMolecule):
    """`MovingAtoms` with what no motion changes, for one grid."""

    source: MovingAtoms
    envelopes: tuple[Float[Array, "h j"], ...]
    factors: tuple[Float[Array, "h h"], ...]
    latent_size: int = eqx.field(static=True)

    def conformer(self, latent):
        return self.source.conformer(latent)

    def slice(self, latent, rotation, grid):
        ready = PreparedPotential(
            source=self.source.at(latent), envelopes=self.envelopes, factors=self.factors
        )
        return ready.slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.source.density(latent, grid)

    def prepare(self, grid):
        return self.source.prepare(grid)


def moving_atoms(atoms: Atoms, motion: AbstractMotion) -> MovingAtoms:
    """`atoms`, where they are, as the reference of `motion`. They are not centred here: the same
    translation must serve all states."""
    real = lambda values: jnp.asarray(values, jnp.result_type(float))
    kinds = tuple(
        AtomKind(rows=jnp.asarray(rows), group=group) for rows, group in element_groups(atoms)
    )
    return MovingAtoms(
        reference=Conformer(real(atoms.positions), real(atoms.occupancies)),
        motion=motion,
        kinds=kinds,
        latent_size=len(motion.coordinates),
    )


def example(key, grid: FourierGrid) -> MovingAtoms:
    """Thirty blurred atoms, a third of them on a hinge; found by the law tests."""
    count = 30
    atoms = Atoms(
        positions=np.asarray(0.08 * grid.length * jax.random.normal(key, (count, 3)), np.float64),
        atomic_numbers=np.where(np.arange(count) % 2 == 0, 6, 8),
        b_factors=np.full(count, 8 * np.pi**2 * (1.7 * float(grid.pixel_size)) ** 2),
        occupancies=np.linspace(0.5, 1, count),
        chains=np.full(count, "A"),
        residues=np.arange(count),
        residue_names=np.full(count, "ALA"),
        names=np.full(count, "CA"),
    )
    point = lambda x, y, z: FixedPoint(0.1 * grid.length * jnp.array([x, y, z]))
    axis = (point(0.0, 0.3, -0.2), point(1.0, 0.5, 0.4))
    return moving_atoms(atoms, hinge(np.arange(count) < 10, axis, Coordinate(name="hinge")))
