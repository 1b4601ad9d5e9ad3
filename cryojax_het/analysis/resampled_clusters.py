"""Clusters of images, found again and again with another part of the images left out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .latent_clusters import find_clusters


class ResampledClusters(NamedTuple):
    """M clusters from F unions of images, every image in all unions but one.

    - `member` `[f, n]`: number of the cluster that each union puts an image in, from 0 to M - 1
      over all unions; -1 where it is left out.
    - `counts`: images in each.
    """

    member: Int[np.ndarray, "f n"]
    counts: Int[np.ndarray, " m"]


def resampled_clusters(
    latent: Float[np.ndarray, "n d"], folds: int, clusters: int, seed: int = 0
) -> ResampledClusters:
    """k-means of the latents in each union of all but one of `folds` random parts.

    In place of AlphaCryo4D's 3D classification of each union: the run that the latents are of has
    told conformations already. Maps of different unions share images: their noise is correlated.
    Raises `ValueError` for fewer than three folds, or clusters of fewer than ten images.
    """
    count = len(latent)
    if folds < 3 or clusters < 2 or count * (folds - 1) < 10 * folds * clusters:
        raise ValueError(
            f"`folds` must be 3 or more and `clusters` from 2 to a tenth of a union. Got {folds} "
            f"and {clusters}, for {count} images."
        )
    rng = np.random.default_rng(seed)
    fold = rng.permutation(np.arange(count) % folds)
    member = np.full((folds, count), -1, np.int64)
    total = 0
    for left_out in range(folds):
        rows = np.flatnonzero(fold != left_out)
        found = find_clusters(latent[rows], clusters, seed + left_out)
        member[left_out, rows] = total + found.label
        total += len(found.centre)
    return ResampledClusters(member, np.bincount(member[member >= 0], minlength=total))


class Votes(NamedTuple):
    """`label` of every image, -1 where fewer than the needed number of unions agree; `agreeing`:
    how many put it there."""

    label: Int[np.ndarray, " n"]
    agreeing: Int[np.ndarray, " n"]

    @property
    def kept(self) -> Bool[np.ndarray, " n"]:
        """Images that have a label."""
        return self.label >= 0


def vote(member: Int[np.ndarray, "f n"], group: Int[np.ndarray, " m"], needed: int = 2) -> Votes:
    """The group of maps that most of an image's maps are in, if `needed` or more are.

    - `group`: of every map, from 0; -1 for a map in none.
    """
    count = int(group.max()) + 1
    ballots = np.zeros((member.shape[1], count), np.int64)
    for union in member:
        cast = np.where(union >= 0, group[union], -1)
        rows = np.flatnonzero(cast >= 0)
        np.add.at(ballots, (rows, cast[rows]), 1)
    most = ballots.max(axis=1)
    return Votes(np.where(most >= needed, ballots.argmax(axis=1), -1), most)
