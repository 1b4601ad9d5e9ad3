"""UMAP of latents, by umap-learn."""

import warnings
from dataclasses import dataclass
from typing import final

import numpy as np

from .embedding import AbstractEmbedding, check_count
from .posterior_distances import whitened


@final
@dataclass(frozen=True, kw_only=True)
class UMAP(AbstractEmbedding):
    """Uniform manifold approximation of means in units of a typical posterior's deviation.

    `neighbours` of each image, fewer where there are fewer. McInnes, Healy & Melville 2018,
    arXiv:1802.03426. Raises `ImportError` where umap-learn is missing.
    """

    neighbours: int = 15
    seed: int = 0

    def plane(self, posteriors):
        """Where each image lies."""
        check_count(posteriors)
        try:
            with warnings.catch_warnings():
                # Of Numba and of TensorFlow, which is not needed.
                warnings.simplefilter("ignore")
                from umap import UMAP as Layout
        except ImportError as error:
            raise ImportError(
                "UMAP needs umap-learn: pip install 'cryojax_het[analysis]', or leave `umap` out "
                "of `--embeddings`"
            ) from error
        points = whitened(posteriors).astype(np.float32)
        neighbours = min(self.neighbours, len(points) - 1)
        # The spectral start needs more images than it has coordinates.
        start = "spectral" if len(points) > 4 * neighbours else "random"
        # A seed allows one thread: said here, or umap-learn warns of it.
        how = Layout(n_neighbors=neighbours, init=start, random_state=self.seed, n_jobs=1)
        return np.asarray(how.fit_transform(points), np.float64)
