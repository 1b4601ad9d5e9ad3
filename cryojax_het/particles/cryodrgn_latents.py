"""Latents as cryoDRGN writes them: `z.pkl`, which its `analyze` and its notebooks read."""

import pickle
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .files import replacing


def write_latents(path: Path, latents: Float[np.ndarray, "n d"]) -> None:
    """One row for each image, in the order of the particle file, single precision; the file is
    there whole or not at all."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        pickle.dump(np.ascontiguousarray(latents, np.float32), file)
