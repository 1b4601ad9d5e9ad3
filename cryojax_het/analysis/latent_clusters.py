"""Clusters of images in a latent space, and a real image near the centre of each."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .chance import as_points
from .composition import cluster


@final
@dataclass(frozen=True, kw_only=True)
class Clusters:
    """`label` of every image, from 0; `centre` of each cluster; `nearest`: the row of the image
    nearest to it, at whose latent a map is of what was seen, not of a mean that may be empty."""

    label: Int[np.ndarray, " n"]
    centre: Float[np.ndarray, "k d"]
    nearest: Int[np.ndarray, " k"]

    def sizes(self) -> Int[np.ndarray, " k"]:
        """Images in each cluster."""
        return np.bincount(self.label, minlength=len(self.centre))


def find_clusters(latent: Float[np.ndarray, "n d"], count: int, seed: int = 0) -> Clusters:
    """`count` clusters by k-means, numbered along the axis of largest spread of their centres.

    Neighbours in number are then neighbours in shape, nearly. Fewer where there are fewer distinct
    rows. Raises `ValueError` as `cluster` does.
    """
    from scipy.spatial import KDTree

    points = as_points(latent, "latent")
    label = cluster(points, count, seed)
    size = np.bincount(label)
    sums = np.stack([np.bincount(label, column) for column in points.T], axis=1)
    centre = sums / size[:, None]
    order = np.argsort(_along_the_largest_spread(centre), kind="stable")
    rank = np.argsort(order)
    nearest = np.asarray(KDTree(points).query(centre[order])[1], np.int64)
    return Clusters(label=rank[label].astype(np.int64), centre=centre[order], nearest=nearest)


def _along_the_largest_spread(centre):
    about = centre - centre.mean(axis=0)
    axis = np.linalg.svd(about, full_matrices=False)[2][0]
    # The sign of a singular vector is arbitrary: towards its largest entry.
    return about @ axis * np.sign(axis[np.argmax(np.abs(axis))])
