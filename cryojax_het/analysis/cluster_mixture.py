"""Clusters of latents as the components of a Gaussian mixture, by scikit-learn."""

from dataclasses import dataclass
from typing import final

import numpy as np

from .chance import some_rows
from .latent_clusters import AbstractClustering, numbered

_LIMIT = 20_000  # images that a mixture is fitted to; all are labelled


@final
@dataclass(frozen=True, kw_only=True)
class MixtureOf(AbstractClustering):
    """A mixture of `count` normal densities of the means, each of its own covariance; an image is
    in the component most probable for it. Raises `ImportError` where scikit-learn is missing."""

    count: int
    seed: int = 0

    def clusters(self, posteriors):
        """One at least, numbered along their largest spread."""
        points = posteriors.mean.astype(np.float64)
        label = fitted_mixture(points, self.count, self.seed).predict(points)
        return numbered(points, label.astype(np.int64))


@final
@dataclass(frozen=True, kw_only=True)
class BestMixture(AbstractClustering):
    """`MixtureOf` as many as have the least Bayesian information criterion (Schwarz 1978, Ann.
    Stat. 6), from 1 to `most`; numbers are tried until three in a row are worse than the best."""

    most: int = 20
    seed: int = 0

    def clusters(self, posteriors):
        """One at least, numbered along their largest spread."""
        points = posteriors.mean.astype(np.float64)
        some = points[some_rows(len(points), _LIMIT, self.seed)]
        tried = []
        for count in range(1, min(self.most, len(points) // 2) + 1):
            found = fitted_mixture(points, count, self.seed)
            tried.append((float(found.bic(some)), count, found))
            if count >= min(tried)[1] + 3:
                break
        label = min(tried)[2].predict(points)
        return numbered(points, label.astype(np.int64))


def fitted_mixture(points: np.ndarray, count: int, seed: int):
    """scikit-learn's model of `count` components, fitted to 20,000 images at most."""
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise ImportError(
            "A Gaussian mixture needs scikit-learn: pip install 'cryojax_het[analysis]'"
        ) from error
    some = points[some_rows(len(points), _LIMIT, seed)]
    return GaussianMixture(count, n_init=2, max_iter=500, random_state=seed).fit(some)
