"""Clusters of latents as places where they are dense, by scikit-learn's HDBSCAN."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from .latent_clusters import AbstractClustering, numbered
from .posterior_distances import whitened


@final
@dataclass(frozen=True, kw_only=True)
class DenseClusters(AbstractClustering):
    """HDBSCAN of means in units of a typical posterior's deviation: as many clusters as there are
    dense places apart from one another, images between them in none; all in one where it finds no
    two.

    `least`: images of a cluster; None: one in a hundred, 5 or more. Campello, Moulavi & Sander
    2013, PAKDD. Raises `ImportError` where scikit-learn is missing, `ValueError` where `least` is
    below 2 or above the number of images.
    """

    least: int | None = None

    def clusters(self, posteriors):
        """One at least, numbered along their largest spread."""
        try:
            from sklearn.cluster import HDBSCAN
        except ImportError as error:
            raise ImportError(
                "HDBSCAN needs scikit-learn: pip install 'cryojax_het[analysis]'"
            ) from error
        least = max(5, len(posteriors) // 100) if self.least is None else self.least
        if not 2 <= least <= len(posteriors):
            raise ValueError(
                f"A cluster has 2 to {len(posteriors)} images, the number of all. Got {least}."
            )
        how: Any = {"copy": True}  # the type that scikit-learn's stub has for it is wrong
        label = HDBSCAN(min_cluster_size=least, **how).fit_predict(whitened(posteriors))
        return numbered(posteriors.mean, np.asarray(label, np.int64))
