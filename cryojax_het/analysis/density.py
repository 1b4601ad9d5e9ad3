"""Densities of latents: of point estimates as they are, and of the molecules themselves.

Point estimates are shrunk by the prior and scattered by noise: their density is not that of the
molecules. The posterior of each image tells its likelihood, and the density that makes all images
likely is that of the molecules (`deconvolution.py`).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int, Integer

from .chance import as_points, check_paired


@final
@dataclass(frozen=True, kw_only=True)
class LatentPosteriors:
    """Normal posteriors of N images under the prior `z ~ N(0, I)`: mean and covariance.

    Raises `ValueError` where rows disagree or are not finite.
    """

    mean: Float[np.ndarray, "n d"]
    covariance: Float[np.ndarray, "n d d"]

    def __post_init__(self):
        check_paired(self.mean, self.covariance, ("mean", "covariance"))
        as_points(self.mean, "mean")
        as_points(self.covariance.reshape(len(self.mean), -1), "covariance")

    def __len__(self) -> int:
        return len(self.mean)

    def take(self, rows: Integer[np.ndarray, " m"]) -> "LatentPosteriors":
        """The posteriors of these images."""
        return LatentPosteriors(mean=self.mean[rows], covariance=self.covariance[rows])

    def along(self, axes: tuple[int, ...]) -> "LatentPosteriors":
        """The marginals of some coordinates: exact, whatever the others are."""
        pick = list(axes)
        block = self.covariance[:, pick][:, :, pick]
        return LatentPosteriors(mean=self.mean[:, pick], covariance=block)

    def divergence(self) -> Float[np.ndarray, " d"]:
        """Of the marginal of each coordinate from its prior, nats, the mean over images: what an
        image tells of it. `½ (m² + C - 1 - ln C)`."""
        variance = np.einsum("nkk->nk", self.covariance).astype(np.float64)
        square = np.square(self.mean, dtype=np.float64)
        return 0.5 * np.mean(square + variance - 1 - np.log(variance), axis=0)

    def told(self, least: float) -> Int[np.ndarray, " k"]:
        """Coordinates whose divergence is `least` or more; the one of the most where there are
        none."""
        nats = self.divergence()
        return np.flatnonzero(nats >= min(least, float(nats.max())))

    def natural(self) -> tuple[Float[np.ndarray, "n d d"], Float[np.ndarray, "n d"]]:
        """`P` and `b` of `log p(y_i | z) = bᵀ z - ½ zᵀ P z + const`: `C⁻¹ - I` and `C⁻¹ m`."""
        inverse = np.linalg.inv(self.covariance.astype(np.float64))
        linear = np.einsum("nij,nj->ni", inverse, self.mean)
        values, vectors = np.linalg.eigh(inverse - np.eye(self.mean.shape[1]))
        # An image that tells nothing has C = I, up to rounding of either sign.
        precision = np.einsum("nij,nj,nkj->nik", vectors, np.maximum(values, 0), vectors)
        return precision, linear

    def log_likelihood(self, points: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
        """`log p(y_i | z)` at each point, up to a constant of the image: its maximum is 0.

        The posterior over its prior: `-½ zᵀ (C⁻¹ - I) z + zᵀ C⁻¹ m`. Of marginals, the likelihood
        with the other coordinates integrated over their prior.
        """
        precision, linear = self.natural()
        products = points[:, :, None] * points[:, None, :]
        square = precision.reshape(len(self), -1) @ products.reshape(len(points), -1).T
        log = linear @ points.T - 0.5 * square
        return log - log.max(axis=1, keepdims=True)


@final
@dataclass(frozen=True)
class LatentGrid:
    """A regular grid over one or two latent coordinates: the nodes along each."""

    axes: tuple[Float[np.ndarray, " _"], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes along each axis."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def cell(self) -> float:
        """Volume that belongs to a node."""
        return float(np.prod([axis[1] - axis[0] for axis in self.axes]))

    def points(self) -> Float[np.ndarray, "m d"]:
        """All nodes, the last axis fastest."""
        return np.stack([x.ravel() for x in np.meshgrid(*self.axes, indexing="ij")], axis=1)


def latent_grid(posteriors: LatentPosteriors, nodes: int) -> LatentGrid:
    """`nodes` along each coordinate, over where the molecules can be.

    From the 0.2th to the 99.8th percentile of the point estimates, freed of their mean shrinkage
    `m / (1 - C)`, and a typical posterior deviation more.
    """
    axes = []
    for number in range(posteriors.mean.shape[1]):
        variance = float(np.median(posteriors.covariance[:, number, number]))
        free = posteriors.mean[:, number] / max(1 - variance, 0.2)
        low, high = np.quantile(free, (0.002, 0.998))
        margin = max(np.sqrt(variance), 1e-3 * (high - low), 1e-6)
        axes.append(np.linspace(low - margin, high + margin, nodes))
    return LatentGrid(tuple(axes))


def latent_grid_of(points: Float[np.ndarray, "n d"], nodes: int) -> LatentGrid:
    """`nodes` along each coordinate over `points` but for the last 0.2 % at each end, and a
    twentieth more."""
    low, high = np.quantile(points, (0.002, 0.998), axis=0)
    margin = np.maximum(0.05 * (high - low), 1e-6)
    ends = zip(low - margin, high + margin, strict=True)
    return LatentGrid(tuple(np.linspace(a, b, nodes) for a, b in ends))


@final
@dataclass(frozen=True, kw_only=True)
class Density:
    """A density on a grid; `draws`: its resamples, `low` and `high`: where 90 % of them lie, None
    without any."""

    grid: LatentGrid
    value: Float[np.ndarray, "*shape"]
    low: Float[np.ndarray, "*shape"] | None = None
    high: Float[np.ndarray, "*shape"] | None = None
    draws: Float[np.ndarray, "r *shape"] | None = None

    def free_energy(self) -> Float[np.ndarray, "*shape"]:
        """`-ln p` in k_B T over its least value; infinite where the density is 0."""
        return self._energy(self.value)

    def band(self) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
        """Lower and upper free energies of the band. `ValueError` where there is none."""
        if self.low is None or self.high is None:
            raise ValueError("This density has no band: ask for resamples.")
        return self._energy(self.high), self._energy(self.low)

    def share(self, inside: np.ndarray) -> float:
        """Population of the nodes where `inside` is True."""
        return float(self.value[inside].sum() / self.value.sum())

    def _energy(self, value: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return -np.log(value) + np.log(self.value.max())


def histogram_density(points: Float[np.ndarray, "n d"], grid: LatentGrid) -> Density:
    """The share of `points` nearest to each node: what images look like, not what molecules do."""
    edges = [np.append(axis - (axis[1] - axis[0]) / 2, axis[-1] + np.inf) for axis in grid.axes]
    for edge in edges:
        edge[0] = -np.inf
    counts = np.histogramdd(points, edges)[0]
    return Density(grid=grid, value=counts / counts.sum() / grid.cell)


def kernel_density(points: Float[np.ndarray, "n d"], grid: LatentGrid) -> Density:
    """Gaussian kernels at `points`, as wide as Scott's rule says (Scott 1992)."""
    from scipy.stats import gaussian_kde

    values = gaussian_kde(as_points(points, "points").T)(grid.points().T)
    return Density(grid=grid, value=np.maximum(values, 1e-300).reshape(grid.shape))
