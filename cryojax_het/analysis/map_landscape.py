"""Free energy over an embedding of resampled maps, the path over it, and the maps along that.

AlphaCryo4D: Wu et al. 2022, Nat. Commun. 13.
"""

from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from .energy_string import string_at_rest

_NODES = 100  # of the path
_STEP = 0.1  # of the way to the mean of the maps around
_ROUNDS, _ENOUGH = 5000, 1e-7  # at most; movement of a round, times the distance of the ends


@final
@dataclass(frozen=True, kw_only=True)
class MapLandscape:
    """`F(x) = -ln Σ_m (n_m / n) N(x; x_m, h²)` in k_B T: where the images of the maps lie.

    A map's own energy, `-ln(n_m / n)`, depends on how finely its neighbourhood happened to be
    divided; their density does not. It is smooth, and rises without bound away from all maps. On an
    embedding that keeps no distances, as t-SNE, it is a picture and no free energy: areas there are
    not those of any coordinate of the molecule.

    - `points` `x_m`; `counts` `n_m`: images of each map; `width` `h`.
    """

    points: Float[np.ndarray, "m d"]
    counts: Int[np.ndarray, " m"]
    width: float

    @classmethod
    def of(cls, points: Float[np.ndarray, "m d"], counts: Int[np.ndarray, " m"]) -> "MapLandscape":
        """With Scott's width for so many points."""
        count, size = points.shape
        spread = float(np.sqrt(np.mean(np.var(points, axis=0))))
        return cls(points=points, counts=counts, width=spread * count ** (-1 / (size + 4)))

    def map_energies(self) -> Float[np.ndarray, " m"]:
        """`-ln(n_m / max n)`, k_B T: infinite for a map without images."""
        with np.errstate(divide="ignore"):
            return -np.log(self.counts / self.counts.max())

    def energy(self, places: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
        """`F` at places, k_B T, up to a constant."""
        exponent = self._exponents(places)
        most = exponent.max(axis=1)
        return -most - np.log(np.exp(exponent - most[:, None]).sum(axis=1))

    def pull(self, places: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "k d"]:
        """`-h² ∇F`: the way to the mean of the maps around."""
        exponent = self._exponents(places)
        share = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        return share / share.sum(axis=1, keepdims=True) @ self.points - places

    def path(self) -> Float[np.ndarray, "k d"]:
        """The path of least energy between the basins of the two maps that are furthest out along
        the first coordinate."""
        first, last = self.points[[self.points[:, 0].argmin(), self.points[:, 0].argmax()]]
        along = np.linspace(0, 1, _NODES)[:, None]
        start = first + along * (last - first)
        enough = _ENOUGH * float(np.linalg.norm(last - first))
        return string_at_rest(
            lambda nodes: nodes + _STEP * self.pull(nodes), start, _ROUNDS, enough
        )

    def _exponents(self, places):
        square = np.sum((places[:, None] - self.points) ** 2, axis=2)
        with np.errstate(divide="ignore"):
            return np.log(self.counts / self.counts.sum()) - square / (2 * self.width**2)


class AlongPath(NamedTuple):
    """`place` of each map along a path, from 0 to 1; `group`: the stretch of it that this is in."""

    place: Float[np.ndarray, " m"]
    group: Int[np.ndarray, " m"]


def along_path(
    points: Float[np.ndarray, "m d"], path: Float[np.ndarray, "k d"], groups: int
) -> AlongPath:
    """By the nearest node; stretches of equal length, numbered along the path."""
    nearest = np.argmin(np.sum((points[:, None] - path) ** 2, axis=2), axis=1)
    place = nearest / (len(path) - 1)
    return AlongPath(place, np.minimum((place * groups).astype(np.int64), groups - 1))
