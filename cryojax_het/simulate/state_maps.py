"""Maps and atoms of every state of a specimen."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from .base import AbstractMolecule
from .images import Scene
from .specimen import Specimen
from .truth import StateAtoms


def state_maps(specimen: Specimen) -> Iterator[Float32[np.ndarray, "n n n"]]:
    """The exact map of each state in order, one at a time."""
    for row in specimen.states.conformation:
        latent = jnp.asarray(row, jnp.result_type(float))
        yield np.asarray(_density(specimen.scene, latent), np.float32)


@eqx.filter_jit
def _density(scene: Scene, latent: Float[Array, " d"]) -> Float[Array, "n n n"]:
    return scene.volume.density(latent, scene.grid)


def state_atoms(specimen: Specimen) -> StateAtoms | None:
    """Atoms (of a molecule by formula: its Gaussians) of all states; None for a map."""
    volume = specimen.scene.volume
    if not isinstance(volume, AbstractMolecule):
        return None
    conformer = eqx.filter_jit(lambda molecule, latent: molecule.conformer(latent))
    rows = jnp.asarray(specimen.states.conformation, jnp.result_type(float))
    # One state at a time, to the host: together they may be larger than the device's memory.
    states = [jax.tree.map(np.asarray, conformer(volume, row)) for row in rows]
    return StateAtoms(
        positions=np.stack([state.positions for state in states]).astype(np.float64),
        occupancies=np.stack([state.occupancies for state in states]).astype(np.float64),
    )
