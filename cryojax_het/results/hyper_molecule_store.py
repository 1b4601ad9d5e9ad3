"""A hyper-molecule in a run folder: `model/hyper_molecule.npz` and `.json`."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..particles.files import replacing
from ..volumes.hyper_molecule import HyperMolecule
from ..volumes.latent_functions.base import AbstractLatentFunctions
from ..volumes.latent_functions.choice import latent_functions
from ..volumes.prolate.basis import ProlateBasis
from .disk import explained, write_text
from .run import RunFolder

FORMAT = 1


def save_hyper_molecule(folder: RunFolder, molecule: HyperMolecule, functions: str) -> None:
    """Write both files, each whole or not at all.

    - `functions`: name of those of the latents, as `latent_functions` has it.
    """
    basis, place = molecule.basis, folder.folder("model")
    about = {"format": FORMAT, "functions": functions, "latents": molecule.latent_size}
    about |= {"order": int(molecule.functions.orders().max()), "bandlimit": basis.bandlimit}
    about |= {"counts": list(basis.counts)}
    arrays = {"coefficients": molecule.coefficients, "radius": basis.radius, "table": basis.table}
    with explained(place):
        path = place / "hyper_molecule.npz"
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()})
        write_text(place / "hyper_molecule.json", json.dumps(about, indent=1) + "\n")


def load_hyper_molecule(folder: RunFolder) -> HyperMolecule:
    """What `save_hyper_molecule` wrote. Raises `FileNotFoundError` where there is none,
    `ValueError` where another version wrote it."""
    about = _about(folder.path / "model")
    with np.load(folder.path / "model" / "hyper_molecule.npz", allow_pickle=False) as file:
        arrays = {name: jnp.asarray(value) for name, value in file.items()}
    basis = ProlateBasis(
        radius=arrays["radius"],
        table=arrays["table"],
        counts=tuple(about["counts"]),
        bandlimit=about["bandlimit"],
    )
    return HyperMolecule(arrays["coefficients"], basis, _functions(about))


def load_latent_functions(folder: RunFolder) -> AbstractLatentFunctions:
    """Those of the hyper-molecule alone. Raises as `load_hyper_molecule` does."""
    return _functions(_about(folder.path / "model"))


def _functions(about) -> AbstractLatentFunctions:
    return latent_functions(about["functions"], about["latents"], about["order"])


def _about(place: Path) -> dict[str, Any]:
    path = place / "hyper_molecule.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: the run is not of a hyper-molecule, or not finished."
        )
    about = json.loads(path.read_text())
    if about["format"] != FORMAT:
        raise ValueError(f"{path} has the format {about['format']}; this version reads {FORMAT}.")
    return about
