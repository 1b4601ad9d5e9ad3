"""A hyper-molecule in a run folder: `model/hyper_molecule.npz` and `.json`."""

import jax.numpy as jnp
import numpy as np

from ..volumes.hyper_molecule import HyperMolecule
from ..volumes.latent_functions.base import AbstractLatentFunctions
from ..volumes.latent_functions.choice import latent_functions
from ..volumes.prolate.basis import ProlateBasis
from .model_files import model_about, model_arrays, save_model
from .run import RunFolder

FORMAT = 1
_NAME, _KIND = "hyper_molecule", "a hyper-molecule"


def save_hyper_molecule(folder: RunFolder, molecule: HyperMolecule, functions: str) -> None:
    """Write both files, each whole or not at all.

    - `functions`: name of those of the latents, as `latent_functions` has it.
    """
    basis, one = molecule.basis, latent_functions(functions, 1, 0)
    about = {"format": FORMAT, "functions": functions}
    about |= {"order": int(molecule.functions.orders().max()), "bandlimit": basis.bandlimit}
    # A latent on a circle has two coordinates.
    about |= {"latents": molecule.latent_size // one.latent_size, "counts": list(basis.counts)}
    arrays = {"coefficients": molecule.coefficients, "radius": basis.radius, "table": basis.table}
    save_model(folder, _NAME, {k: np.asarray(v) for k, v in arrays.items()}, about)


def load_hyper_molecule(folder: RunFolder) -> HyperMolecule:
    """What `save_hyper_molecule` wrote. Raises `FileNotFoundError` where there is none,
    `ValueError` where another version wrote it."""
    about = model_about(folder, _NAME, _KIND, FORMAT)
    arrays = {name: jnp.asarray(value) for name, value in model_arrays(folder, _NAME).items()}
    basis = ProlateBasis(
        radius=arrays["radius"],
        table=arrays["table"],
        counts=tuple(about["counts"]),
        bandlimit=about["bandlimit"],
    )
    return HyperMolecule(arrays["coefficients"], basis, _functions(about))


def load_latent_functions(folder: RunFolder) -> AbstractLatentFunctions:
    """Those of the hyper-molecule alone. Raises as `load_hyper_molecule` does."""
    return _functions(model_about(folder, _NAME, _KIND, FORMAT))


def _functions(about) -> AbstractLatentFunctions:
    return latent_functions(about["functions"], about["latents"], about["order"])
