"""Maps and atoms of every state of a specimen."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from .images import Scene
from .molecule import HingedMolecule
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
    if not isinstance(volume, HingedMolecule):
        return None
    rows = jnp.asarray(specimen.states.conformation, jnp.result_type(float))
    positions = np.asarray(jax.vmap(lambda latent: volume.at(latent).positions)(rows), np.float64)
    return StateAtoms(positions=positions, occupancies=np.ones(positions.shape[:2]))
