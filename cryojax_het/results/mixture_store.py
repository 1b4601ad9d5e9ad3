"""A mixture of Gaussians and what moves it in a run folder: `model/mixture.npz` and `.json`.

Arrays are found by the name of their field, never by position. A new kind of displacement is one
more entry of `MOVEMENTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..structures.atoms import Atoms
from ..structures.frames import Frames
from ..structures.riding import riding
from ..volumes.anchors import Anchors
from ..volumes.displaced import DisplacedMixture
from ..volumes.displacement import AbstractDisplacement
from ..volumes.gaussian_mixture import GaussianMixture
from ..volumes.neural_amplitudes import NeuralAmplitudes
from ..volumes.neural_displacement import NeuralDisplacement
from ..volumes.normal_modes import NormalModes
from ..volumes.rigid_segments import RigidSegments
from ..volumes.scaled_modes import ScaledModes
from .model_files import model_about, model_arrays, save_model
from .movement import AbstractMovement, ByModes
from .run import RunFolder
from .trained_movements import ByAmplitudes, ByAnchors, ByNetwork, ByScaledModes, BySegments

FORMAT = 1
_NAME, _KIND = "mixture", "a mixture of Gaussians"


@final
@dataclass(frozen=True, kw_only=True)
class StoredMixture:
    """A volume, the atoms that it stands for at rest, and the Gaussian that each `follows`."""

    volume: DisplacedMixture
    atoms: Atoms
    follows: Int[np.ndarray, " j"]

    def frames(self, latents: Float[np.ndarray, "m d"]) -> Frames:
        """Atoms in each conformation: they ride on the Gaussians that they follow."""
        change = jax.jit(
            jax.vmap(
                lambda z: (
                    self.volume.displacement.change(z, self.volume.reference.positions).displacement
                )
            )
        )
        points = jnp.asarray(latents, self.volume.reference.positions.dtype)
        rest = np.asarray(self.volume.reference.positions, np.float64)
        moved = rest + np.asarray(change(points), np.float64)
        positions = riding(self.atoms.positions, self.follows, rest, moved)
        return Frames(atoms=self.atoms, positions=positions)


_MOTIONS: Mapping[type[AbstractDisplacement], AbstractMovement] = {
    NormalModes: ByModes(),
    Anchors: ByAnchors(),
    RigidSegments: BySegments(),
    NeuralDisplacement: ByNetwork(),
    ScaledModes: ByScaledModes(),
}
MOVEMENTS: Mapping[type[AbstractDisplacement], AbstractMovement] = {
    **_MOTIONS,
    NeuralAmplitudes: ByAmplitudes(_MOTIONS),
}


def save_mixture(folder: RunFolder, stored: StoredMixture) -> None:
    """Write both files, each whole or not at all. `TypeError` for a displacement or a reference
    of a kind that is not kept."""
    reference, displacement = stored.volume.reference, stored.volume.displacement
    if type(displacement) not in MOVEMENTS or not isinstance(reference, GaussianMixture):
        raise TypeError(
            f"A {type(reference).__name__} moved by {type(displacement).__name__} cannot be kept."
        )
    movement = MOVEMENTS[type(displacement)]
    own = movement.arrays(displacement)
    arrays = {f"displacement.{name}": value for name, value in own.items()}
    for name in ("positions", "amplitudes", "widths"):
        arrays[f"reference.{name}"] = np.asarray(getattr(reference, name))
    arrays |= {f"atoms.{f.name}": getattr(stored.atoms, f.name) for f in fields(Atoms)}
    arrays["follows"] = stored.follows
    about = {"format": FORMAT, "displacement": type(displacement).__name__}
    about |= {"moved": movement.about(displacement)}
    about |= {"sizes": list(reference.sizes), "chunk": reference.chunk}
    save_model(folder, _NAME, arrays, about)


def load_mixture(folder: RunFolder) -> StoredMixture:
    """What `save_mixture` wrote. Raises `FileNotFoundError` where there is none, `ValueError` where
    another version wrote it."""
    about, arrays = model_about(folder, _NAME, _KIND, FORMAT), model_arrays(folder, _NAME)
    part = lambda name: {
        key.removeprefix(f"{name}."): value
        for key, value in arrays.items()
        if key.startswith(f"{name}.")
    }
    known = {kind.__name__: movement for kind, movement in MOVEMENTS.items()}
    held = part("reference")
    reference = GaussianMixture(
        positions=jnp.asarray(held["positions"]),
        amplitudes=jnp.asarray(held["amplitudes"]),
        widths=jnp.asarray(held["widths"]),
        sizes=tuple(about["sizes"]),
        chunk=about["chunk"],
    )
    displacement = known[about["displacement"]].restored(part("displacement"), about["moved"])
    return StoredMixture(
        volume=DisplacedMixture(reference, displacement),
        atoms=Atoms(**part("atoms")),
        follows=arrays["follows"],
    )
