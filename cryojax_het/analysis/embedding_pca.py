"""Principal axes of the latents."""

from dataclasses import dataclass
from typing import final

import numpy as np

from .embedding import AbstractEmbedding, check_count


@final
@dataclass(frozen=True, kw_only=True)
class PCA(AbstractEmbedding):
    """Coordinates along the two directions of largest spread of the posterior means, in units of
    the latent; a second one of zeros where latents have a single coordinate. Each axis points to
    its largest entry, so that signs are not left to chance."""

    def plane(self, posteriors):
        """Where each image lies."""
        check_count(posteriors)
        about = posteriors.mean.astype(np.float64)
        about = about - about.mean(axis=0)
        # Of the small d x d matrix: images may be 100,000.
        axes = np.linalg.eigh(about.T @ about)[1][:, ::-1][:, :2]
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
        found = about @ axes
        return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))
