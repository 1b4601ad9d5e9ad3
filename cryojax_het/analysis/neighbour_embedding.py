"""t-SNE of distances: who is near whom, and nothing else."""

from dataclasses import dataclass
from typing import final

import numpy as np

from .classical_scaling import ClassicalScaling
from .distance_embedding import AbstractDistanceEmbedding, embedding_of


@final
@dataclass(frozen=True, kw_only=True)
class NeighbourEmbedding(AbstractDistanceEmbedding):
    """Stochastic neighbour embedding (van der Maaten & Hinton 2008, J. Mach. Learn. Res. 9), from
    classical scaling, which for Euclidean distances is PCA.

    Neither distances nor densities are kept, and clusters appear in noise as well: a picture, from
    which no number should be read.

    - `perplexity`: neighbours that count; fewer where there are not three times as many points.
    """

    perplexity: float = 30.0
    seed: int = 0

    def place(self, distances, count):
        try:
            from sklearn.manifold import TSNE
        except ImportError as error:
            raise ImportError(
                "t-SNE needs scikit-learn: pip install 'cryojax_het[analysis]'"
            ) from error
        if not 1 <= count <= 3:
            raise ValueError(f"t-SNE has 1 to 3 dimensions. Got {count}.")
        start = ClassicalScaling().place(distances, count).coordinates
        # The spread of 1e-4 that the method starts from.
        start = 1e-4 * start / max(float(start[:, 0].std()), 1e-300)
        found = TSNE(
            count,
            perplexity=min(self.perplexity, (len(distances) - 1) / 3),
            metric="precomputed",
            init=start.astype(np.float32),  # pyright: ignore[reportArgumentType]
            random_state=self.seed,
        ).fit_transform(distances)
        return embedding_of(np.asarray(found, np.float64), distances)
