"""Distance of maps by their voxels and by what a network learned to tell them by."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from ..inference.volume_autoencoder import Course, Trained, train_autoencoder
from .fourier_resample import resample_box
from .map_distance import AbstractMapDistance, check_maps


@final
@dataclass(frozen=True, kw_only=True)
class FeatureDistance(AbstractMapDistance):
    """`D² = ½ D²_voxels + ½ D²_features`, each as a share of its mean over all pairs: AlphaCryo4D.

    Voxels are those of maps of mean 0 and variance 1 under `mask`; features, the code that an
    autoencoder of these maps gives them. Euclidean. Training is by chance, from `seed`, and depends
    on the order of the maps: what two seeds do not share means nothing. (Wu et al. 2022, Nat.
    Commun. 13.)

    - `size`: voxels per side that maps are brought to, at most, a multiple of four.
    """

    mask: Float[np.ndarray, "n n n"]
    size: int = 32
    course: Course | None = None
    seed: int = 0

    def between(self, maps, pixel_size):
        del pixel_size
        check_maps(maps)
        voxels = self._standardised(maps)
        features = self.trained(voxels).code
        flat = voxels.reshape(len(voxels), -1).astype(np.float64)
        both = (_squares(flat) + _squares(features.astype(np.float64))) / 2
        return np.sqrt(both)

    def trained(self, voxels: Float[np.ndarray, "m b b b"]) -> Trained:
        """The autoencoder's code of standardised maps, and its losses."""
        import jax

        return train_autoencoder(jax.random.key(self.seed), voxels, self.course)

    def _standardised(self, maps: Float[np.ndarray, "m n n n"]) -> Float[np.ndarray, "m b b b"]:
        size = min(self.size, maps.shape[1]) // 4 * 4
        small = np.stack([resample_box(one, size) for one in maps * self.mask])
        small = small - small.mean(axis=(1, 2, 3), keepdims=True)
        return (small / small.std(axis=(1, 2, 3), keepdims=True)).astype(np.float32)


def _squares(rows: Float[np.ndarray, "m f"]) -> Float[np.ndarray, "m m"]:
    """Squared distances over their mean; zeros where all rows are equal."""
    centred = rows - rows.mean(axis=0)
    gram = centred @ centred.T
    squared = np.maximum(np.diag(gram)[:, None] + np.diag(gram) - gram - gram.T, 0)
    np.fill_diagonal(squared, 0)
    return squared / max(float(squared.mean()), 1e-300)
