"""t-SNE of latents, by scikit-learn."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from .chance import some_rows
from .embedding import AbstractEmbedding, check_count
from .posterior_distances import whitened

_NEAR = 3  # laid-out images that another one is placed between


@final
@dataclass(frozen=True, kw_only=True)
class TSNE(AbstractEmbedding):
    """t-distributed stochastic neighbours of means in units of a typical posterior's deviation.

    From the principal axes, by Barnes and Hut's sums. Where there are more than `limit` images, as
    many are laid out, drawn by `seed`, and each other one is put at the mean of its nearest 3,
    weighted by their inverse distances: local order is kept, gaps may be bridged.

    `perplexity`: neighbours that count, a third of the images at most. Van der Maaten & Hinton
    2008, J. Mach. Learn. Res. 9. Raises `ImportError` where scikit-learn is missing.
    """

    perplexity: float = 30.0
    limit: int = 10_000
    seed: int = 0

    def plane(self, posteriors):
        """Where each image lies."""
        check_count(posteriors)
        points = whitened(posteriors)
        rows = some_rows(len(points), self.limit, self.seed)
        found = np.empty((len(points), 2))
        found[rows] = self._laid_out(points[rows])
        others = np.setdiff1d(np.arange(len(points)), rows)
        if len(others):
            found[others] = _between(points[others], points[rows], found[rows])
        return found

    def _laid_out(self, points):
        try:
            from sklearn.manifold import TSNE as Layout
        except ImportError as error:
            raise ImportError(
                "t-SNE needs scikit-learn: pip install 'cryojax_het[analysis]'"
            ) from error
        perplexity = min(self.perplexity, (len(points) - 1) / 3)
        # Principal axes are a start in two dimensions, where there are two.
        start: Any = "pca" if points.shape[1] > 1 else np.pad(1e-4 * points, ((0, 0), (0, 1)))
        how = Layout(perplexity=perplexity, init=start, random_state=self.seed)
        return np.asarray(how.fit_transform(points), np.float64)


def _between(points, known, plane):
    from scipy.spatial import KDTree

    distance, near = KDTree(known).query(points, _NEAR)
    weight = 1 / np.maximum(distance, 1e-12)
    return np.einsum("nk,nkc->nc", weight / weight.sum(axis=1, keepdims=True), plane[near])
