"""Clusters of images in a latent space, and a real image near the centre of each."""

import abc
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .chance import as_points
from .composition import cluster
from .density import LatentPosteriors


@final
@dataclass(frozen=True, kw_only=True)
class Clusters:
    """`label` of every image, from 0, or -1 where it is in none; `centre` of each cluster;
    `nearest`: the row of the image nearest to it, at whose latent a map is of what was seen, not of
    a mean that may be empty."""

    label: Int[np.ndarray, " n"]
    centre: Float[np.ndarray, "k d"]
    nearest: Int[np.ndarray, " k"]

    def sizes(self) -> Int[np.ndarray, " k"]:
        """Images in each cluster."""
        return np.bincount(self.label[self.label >= 0], minlength=len(self.centre))


class AbstractClustering(abc.ABC):
    """A way to find clusters. The same input and seed give the same ones."""

    @abc.abstractmethod
    def clusters(self, posteriors: LatentPosteriors) -> Clusters:
        """One at least, numbered as `numbered` does."""


@final
@dataclass(frozen=True, kw_only=True)
class KMeans(AbstractClustering):
    """`count` clusters of the means, as `find_clusters`."""

    count: int = 20
    seed: int = 0

    def clusters(self, posteriors):
        """One at least, numbered along their largest spread."""
        return find_clusters(posteriors.mean, self.count, self.seed)


def find_clusters(latent: Float[np.ndarray, "n d"], count: int, seed: int = 0) -> Clusters:
    """`count` clusters by k-means, numbered along the axis of largest spread of their centres.

    Neighbours in number are then neighbours in shape, nearly. Fewer where there are fewer distinct
    rows. Raises `ValueError` as `cluster` does.
    """
    points = as_points(latent, "latent")
    return numbered(points, cluster(points, count, seed))


def numbered(latent: Float[np.ndarray, "n d"], label: Int[np.ndarray, " n"]) -> Clusters:
    """The clusters of these labels (-1: of none), those without an image left out, numbered along
    the axis of largest spread of their centres; all images in one where every label is -1."""
    from scipy.spatial import KDTree

    points = as_points(latent, "latent")
    label = np.zeros_like(label) if (label < 0).all() else label
    held = label >= 0
    found = np.full(len(label), -1)
    found[held] = np.unique(label[held], return_inverse=True)[1].ravel()
    size = np.bincount(found[held])
    sums = np.stack([np.bincount(found[held], column) for column in points[held].T], axis=1)
    centre = sums / size[:, None]
    order = np.argsort(_along_the_largest_spread(centre), kind="stable")
    found[held] = np.argsort(order)[found[held]]
    nearest = [
        rows[KDTree(points[rows]).query(middle)[1]]
        for number, middle in enumerate(centre[order])
        for rows in [np.flatnonzero(found == number)]
    ]
    return Clusters(
        label=found.astype(np.int64), centre=centre[order], nearest=np.array(nearest, np.int64)
    )


def _along_the_largest_spread(centre):
    about = centre - centre.mean(axis=0)
    axis = np.linalg.svd(about, full_matrices=False)[2][0]
    # The sign of a singular vector is arbitrary: towards its largest entry.
    return about @ axis * np.sign(axis[np.argmax(np.abs(axis))])
