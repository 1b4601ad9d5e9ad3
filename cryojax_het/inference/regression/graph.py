"""A graph over the latents of all images, and the smooth functions on it.

    w_ij = exp(-d_ij² / s_i s_j),   d_ij² = (z_i - z_j)ᵀ (C_i + C_j)⁻¹ (z_i - z_j)

over each image's nearest neighbours, `s_i` the distance to the 7th (Zelnik-Manor & Perona 2004).
Densities are divided out (α = 1, Coifman & Lafon 2006, ACHA 21), so that functions follow the shape
of the cloud and not how it is populated.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .cloud import LatentCloud

_SCALE = 7  # neighbour that tells the local scale
_NEIGHBOURS = 50  # for each image; the square root of their number, where that is less
_LEAST = 1e-30


@final
@dataclass(frozen=True, kw_only=True)
class GraphBasis:
    """The smoothest functions on the graph of N images.

    - `values`: `φ_j(i)`, `φ_0 = 1`, mean square 1; `eigenvalues`: of the random walk, 1 first.
    - `scale`: `s_i`; `density`: by which weights were divided.
    """

    cloud: LatentCloud
    values: Float[np.ndarray, "n r"]
    eigenvalues: Float[np.ndarray, " r"]
    scale: Float[np.ndarray, " n"]
    density: Float[np.ndarray, " n"]

    def at(
        self, latents: Float[np.ndarray, "m d"], covariances: Float[np.ndarray, "m d d"]
    ) -> Float[np.ndarray, "m r"]:
        """`φ(z) = Σ_i p(z → i) φ(i) / λ` for new points (Nyström; Bengio et al. 2004)."""
        which, squared = _neighbours(self.cloud, latents, covariances)
        scale = np.sqrt(squared[:, min(_SCALE, squared.shape[1]) - 1])
        weight = _affinity(squared, scale[:, None] * self.scale[which]) / self.density[which]
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), _LEAST)
        return np.einsum("mk,mkr->mr", weight, self.values[which]) / self.eigenvalues


def graph_basis(cloud: LatentCloud, count: int) -> GraphBasis:
    """The first `count` functions. `ValueError` where there are hardly more images than that.

    A graph in several pieces has a constant on each, all of eigenvalue 1.
    """
    from scipy import sparse
    from scipy.sparse.linalg import eigsh

    total = len(cloud)
    if total < count + 3:
        raise ValueError(f"{count} functions need a graph of {count + 3} images. Got {total}.")
    which, squared = _neighbours(cloud, cloud.mean, cloud.covariance)
    scale = np.sqrt(np.maximum(squared[:, min(_SCALE, squared.shape[1] - 1)], _LEAST))
    weight = _affinity(squared, scale[:, None] * scale[which])
    rows = np.repeat(np.arange(total), which.shape[1])
    graph = sparse.csr_array((weight.ravel(), (rows, which.ravel())), shape=(total, total))
    graph = graph.maximum(graph.T)
    density = np.asarray(graph.sum(axis=1)).ravel()
    inverse = sparse.diags_array(1 / density)
    graph = inverse @ graph @ inverse
    degree = np.asarray(graph.sum(axis=1)).ravel()
    half = sparse.diags_array(1 / np.sqrt(degree))
    start = np.sqrt(degree)  # the first eigenvector itself, disturbed: results must not be random
    start = start * (1 + 0.1 * np.cos(np.arange(total)))
    found, vectors = eigsh(half @ graph @ half, k=count, which="LA", v0=start)
    order = np.argsort(-found)
    values = vectors[:, order] / np.sqrt(degree)[:, None]
    values /= np.sqrt(np.mean(values**2, axis=0))
    values *= np.sign(values.sum(axis=0) + _LEAST)
    return GraphBasis(
        cloud=cloud, values=values, eigenvalues=found[order], scale=scale, density=density
    )


def _neighbours(
    cloud: LatentCloud, latents: Float[np.ndarray, "m d"], covariances: Float[np.ndarray, "m d d"]
) -> tuple[Int[np.ndarray, "m k"], Float[np.ndarray, "m k"]]:
    """Nearest images by the typical covariance, in the order of `d²` by their own."""
    from scipy.spatial import KDTree

    root = np.linalg.cholesky(np.linalg.inv(cloud.typical()))
    count = min(len(cloud), max(_SCALE + 2, min(_NEIGHBOURS, int(np.sqrt(len(cloud))))))
    which = KDTree(cloud.mean @ root).query(latents @ root, k=count)[1]
    apart = cloud.mean[which] - latents[:, None]
    both = cloud.covariance[which] + covariances[:, None]
    squared = np.sum(apart * np.linalg.solve(both, apart[..., None])[..., 0], axis=-1)
    order = np.argsort(squared, axis=1)
    return np.take_along_axis(which, order, axis=1), np.take_along_axis(squared, order, axis=1)


def _affinity(squared, scales):
    return np.exp(-squared / np.maximum(scales, _LEAST))
