"""Where a molecule is and where it moves: masks from the true maps of all its states."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float32

from .mask import MaskOptions, automatic_mask

# A map of standard deviations below this share of the largest density is rounding, not motion.
_STILL = 1e-4


@final
@dataclass(frozen=True, kw_only=True)
class Regions:
    """Soft masks: `molecule`, wherever any state has density; `moving`, where states differ (None
    for a rigid molecule); and `mean`, the mean map over the population."""

    molecule: Float32[np.ndarray, "n n n"]
    moving: Float32[np.ndarray, "n n n"] | None
    mean: Float32[np.ndarray, "n n n"]

    def masks(self) -> dict[str, Float32[np.ndarray, "n n n"]]:
        """Masks by name: "whole box" (ones), "molecule", and "moving region" where there is one."""
        named = {"whole box": np.ones_like(self.mean), "molecule": self.molecule}
        return named if self.moving is None else named | {"moving region": self.moving}


def find_regions(
    maps: Iterable[Float32[np.ndarray, "n n n"]],
    population: Float[np.ndarray, " s"],
    pixel_size: float,
    options: MaskOptions | None = None,
) -> Regions:
    """Masks from the true maps of the states, which may come one by one.

    `molecule` is `automatic_mask` of the maximum over states, so that a part that is rarely
    anywhere is inside wherever it goes; `moving` that of the standard deviation over the
    population. Raises `ValueError` where maps and populations differ in number.
    """
    total, squares, highest = 0.0, 0.0, -np.inf
    for share, density in zip(population, maps, strict=True):
        total = total + share * density.astype(np.float64)
        squares = squares + share * np.square(density, dtype=np.float64)
        highest = np.maximum(highest, density)
    mean, highest = np.asarray(total), np.asarray(highest, np.float64)
    spread = np.sqrt(np.maximum(squares - mean**2, 0))
    moves = spread.max() > _STILL * np.abs(mean).max()
    return Regions(
        molecule=automatic_mask(highest, pixel_size, options).astype(np.float32),
        moving=automatic_mask(spread, pixel_size, options).astype(np.float32) if moves else None,
        mean=mean.astype(np.float32),
    )
