"""What is true of simulated images, and its file."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from ..particles.files import replacing


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The latents of N images, on the host: conformation, rotation (molecule to microscope), shift
    in Å and contrast."""

    conformation: Float[np.ndarray, "n d"]
    rotation: Float[np.ndarray, "n 3 3"]
    shift: Float[np.ndarray, "n 2"]
    contrast: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.contrast)

    def take(self, rows: Integer[np.ndarray, " m"]) -> "Truth":
        """The truth of these images."""
        return Truth(**{name: column[rows] for name, column in asdict(self).items()})


@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """Noise and signal of a data set.

    - `sigma`: standard deviation of the noise of one pixel; `signal_variance`: of clean pixels;
    - `power`, `signal_power`: spectral densities of both per shell 0 to n//2, as in
      `imaging/noise.py`.
    """

    sigma: float
    signal_variance: float
    power: Float[np.ndarray, " s"]
    signal_power: Float[np.ndarray, " s"]


def write_truth(path: Path, truth: Truth, level: NoiseLevel, **extra: Any) -> None:
    """All fields of both, and `extra` arrays or numbers, as one npz; whole or not at all."""
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **asdict(truth), **asdict(level), **extra)


def read_truth(path: Path) -> tuple[Truth, NoiseLevel]:
    """What `write_truth` wrote. Raises `FileNotFoundError`; `ValueError` for another npz."""
    with np.load(path) as held:
        wanted = [f.name for kind in (Truth, NoiseLevel) for f in fields(kind)]
        missing = [name for name in wanted if name not in held]
        if missing:
            raise ValueError(f"{path} is no truth of a simulation: it lacks {', '.join(missing)}.")
        truth = Truth(**{f.name: held[f.name] for f in fields(Truth)})
        numbers = {name: float(held[name]) for name in ("sigma", "signal_variance")}
        spectra = {name: held[name] for name in ("power", "signal_power")}
        return truth, NoiseLevel(**numbers, **spectra)
