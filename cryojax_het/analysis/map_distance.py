"""Distances between maps: what a manifold of volumes is drawn from.

All maps on one grid in one frame, as the maps of one run are.
"""

import abc

import numpy as np
from jaxtyping import Float


class AbstractMapDistance(abc.ABC):
    """How far any two of M maps are apart.

    Every distance is symmetric, not negative, 0 between a map and itself, does not change when a
    map is scaled by a positive number, and does not depend on the order of the maps.
    """

    @abc.abstractmethod
    def between(
        self, maps: Float[np.ndarray, "m n n n"], pixel_size: float
    ) -> Float[np.ndarray, "m m"]:
        """`D_ij` of all pairs; `pixel_size` in Å."""


def check_maps(maps: Float[np.ndarray, "m n n n"]) -> None:
    """`ValueError` for fewer than three maps, an odd box, values that are not finite, and maps
    that are constant."""
    if len(maps) < 3 or maps.shape[1] % 2:
        raise ValueError(
            f"A manifold needs three maps or more, in a box of an even side. Got {maps.shape}."
        )
    bad = [i for i, one in enumerate(maps) if not np.isfinite(one).all() or np.ptp(one) == 0]
    if bad:
        raise ValueError(f"Map {bad[0]} is constant or not finite: leave it out.")


def from_products(products: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    """`sqrt(2 (1 - C_ij))`: distances of unit vectors with inner products `C`."""
    squared = np.maximum(2 - products - products.T, 0)
    np.fill_diagonal(squared, 0)
    return np.sqrt(squared)
