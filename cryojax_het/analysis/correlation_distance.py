"""Distance of maps by their correlation, voxel by voxel."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .map_distance import AbstractMapDistance, check_maps, from_products


@final
@dataclass(frozen=True, kw_only=True)
class CorrelationDistance(AbstractMapDistance):
    """`D² = 2 (1 - CC)`, CC the normalised correlation of the maps under `mask`, each less its
    mean there. The strongest frequencies, the low ones, decide.

    `D` is that of unit vectors: Euclidean, so that classical scaling reproduces it.
    """

    mask: Float[np.ndarray, "n n n"]

    def between(self, maps, pixel_size):
        del pixel_size
        check_maps(maps)
        inside = self.mask > 0
        if not inside.any():
            raise ValueError("`mask` is zero everywhere: lower its threshold or give another.")
        weight = np.sqrt(self.mask[inside].astype(np.float64))
        mean = np.average(maps[:, inside], axis=1, weights=weight**2)
        rows = (maps[:, inside] - mean[:, None]) * weight
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(norm > 0, norm, 1)
        return from_products(rows @ rows.T)
