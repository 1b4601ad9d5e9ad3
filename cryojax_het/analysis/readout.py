"""Reading a quantity off a latent by regression, each image predicted from the others only.

It asks of a latent no more than that images close in it be alike: rotating, shifting or scaling it
changes nothing, bending it smoothly next to nothing.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .chance import as_points, check_paired
from .neighbours import nearest


@final
@dataclass(frozen=True)
class ReadOut:
    """Out-of-sample predictions `predicted` `[n, e]`, each the mean over `count` neighbours, and
    the share `explained` of the variance: `1 - Σ|y - ŷ|² / Σ|y - ȳ|²` (0 for a constant y)."""

    predicted: Float[np.ndarray, "n e"]
    count: int
    explained: float


def read_out(
    latent: Float[np.ndarray, "n d"], target: Float[np.ndarray, "m e"], seed: int = 0
) -> ReadOut:
    """Regress `target` on `latent` by the mean over nearest neighbours, leaving each image out.

    The number of neighbours is the power of two, up to half of the images and 512, with the least
    squared error. It is chosen on the same predictions; of ten choices, that flatters little.

    Raises `ValueError` where rows disagree.
    """
    check_paired(latent, target, ("latent", "target"))
    values = as_points(target, "target")
    counts = [2**power for power in range(10) if 2**power <= len(values) // 2]
    near = nearest(latent, counts[-1], seed)
    best = ReadOut(np.tile(values.mean(0), (len(values), 1)), len(values), -np.inf)
    running = np.zeros_like(values)
    for column in range(counts[-1]):
        running += values[near[:, column]]
        if column + 1 in counts:
            predicted = running / (column + 1)
            explained = _explained(values, predicted)
            if explained > best.explained:
                best = ReadOut(predicted, column + 1, explained)
    return best


def _explained(values: Float[np.ndarray, "n e"], predicted: Float[np.ndarray, "n e"]) -> float:
    total = np.sum((values - values.mean(axis=0)) ** 2)
    return float(1 - np.sum((values - predicted) ** 2) / total) if total > 0 else 0.0
