"""How good a map is, where the truth is known."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .fsc import fourier_shell_correlation, resolution


@final
@dataclass(frozen=True)
class TruthScore:
    """Agreement of a map with the true one.

    - `fsc`: per shell 0 to n//2; `resolution`: Å where it first falls below 0.5.
    - `correlation`: Pearson's, over all voxels (or those of the mask, weighted).
    """

    fsc: Float[np.ndarray, " s"]
    resolution: float
    correlation: float


def score_against_truth(
    volume: Float[np.ndarray, "n n n"],
    truth: Float[np.ndarray, "n n n"],
    pixel_size: float,
    mask: Float[np.ndarray, "n n n"] | None = None,
) -> TruthScore:
    """Compare `volume` with `truth`, both `[z, y, x]` on one grid in one frame, at `pixel_size` Å.

    The true map has no noise: `FSC = sqrt(SNR / (1 + SNR))`, so 0.5 is where the signal of
    `volume` has a third of the power of its noise. `mask` multiplies both maps first.
    """
    weight = np.ones(volume.shape) if mask is None else mask
    curve = fourier_shell_correlation(volume * weight, truth * weight)
    return TruthScore(
        fsc=curve,
        resolution=resolution(curve, 0.5, volume.shape[0] * pixel_size),
        correlation=correlation(volume, truth, weight),
    )


def correlation(
    first: Float[np.ndarray, "*n"], second: Float[np.ndarray, "*n"], weight: Float[np.ndarray, "*n"]
) -> float:
    """Pearson's correlation with weights `w`: `Σ w a b / sqrt(Σ w a² Σ w b²)` about the means."""
    a = first - np.average(first, weights=weight)
    b = second - np.average(second, weights=weight)
    scale = np.sqrt(np.sum(weight * a * a) * np.sum(weight * b * b))
    return float(np.sum(weight * a * b) / scale) if scale > 0 else 0.0
