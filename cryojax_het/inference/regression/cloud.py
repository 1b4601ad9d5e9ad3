"""The latents of all images with what is uncertain about each, and points to reconstruct at."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float


@final
@dataclass(frozen=True, kw_only=True)
class Target:
    """A point of latent space, and the covariance within which it is known."""

    latent: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]


@final
@dataclass(frozen=True, kw_only=True)
class LatentCloud:
    """Posterior mean and covariance of the latent of each of N images.

    Raises `ValueError` where they are not finite or a variance is not positive.
    """

    mean: Float[np.ndarray, "n d"]
    covariance: Float[np.ndarray, "n d d"]

    def __post_init__(self):
        bad = ~(np.isfinite(self.mean).all(axis=1) & np.isfinite(self.covariance).all(axis=(1, 2)))
        if bad.any():
            raise ValueError(
                f"{int(bad.sum())} images have no latent (the first is row {int(bad.argmax())}): "
                "the run did not reach them."
            )
        least = np.diagonal(self.covariance, axis1=1, axis2=2).min(initial=np.inf)
        if not least > 0:
            raise ValueError(f"Posterior variances must be positive. The least is {least:g}.")

    def __len__(self) -> int:
        return len(self.mean)

    def typical(self) -> Float[np.ndarray, "d d"]:
        """The mean covariance."""
        return self.covariance.mean(axis=0)

    def whitened(self) -> Float[np.ndarray, "n d"]:
        """Means in units of the typical posterior: `z L` with `L Lᵀ` the inverse of its covariance.

        Directions that images hardly tell become short.
        """
        return self.mean @ np.linalg.cholesky(np.linalg.inv(self.typical()))

    def image(self, row: int) -> Target:
        """The latent of one image, as uncertain as its posterior. `ValueError` beyond the rows."""
        if not 0 <= row < len(self):
            raise ValueError(f"There is no image {row}: rows run from 0 to {len(self) - 1}.")
        return Target(latent=self.mean[row], covariance=self.covariance[row])

    def point(self, latent: Float[np.ndarray, " d"]) -> Target:
        """Any latent, as uncertain as images typically are. `ValueError` for a wrong dimension."""
        if latent.shape != self.mean.shape[1:]:
            raise ValueError(
                f"A latent of this run has {self.mean.shape[1]} numbers. Got {latent.shape[0]}."
            )
        return Target(latent=latent, covariance=self.typical())
