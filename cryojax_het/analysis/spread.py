"""False heterogeneity: how far a method spreads a sample that is one rigid molecule."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .chance import as_points, check_paired
from .mask import filter_shells


@final
@dataclass(frozen=True, kw_only=True)
class LatentSpread:
    """Total variance (trace) of the latents, and that which their posteriors say noise causes.

    `ratio`: `total / posterior`. Estimates that noise alone scatters have 1; more is heterogeneity,
    on a null set a false one; less is shrinkage by the prior.
    """

    total: float
    posterior: float

    @property
    def ratio(self) -> float:
        return self.total / self.posterior if self.posterior else float("inf")


def latent_spread(
    mean: Float[np.ndarray, "n d"], covariance: Float[np.ndarray, "m d d"]
) -> LatentSpread:
    """Variance of posterior means over images, beside the mean posterior variance.

    Rotating, shifting and scaling the latent changes no ratio.
    """
    check_paired(mean, covariance, ("mean", "covariance"))
    total = float(np.var(as_points(mean, "mean"), axis=0, ddof=1).sum())
    posterior = float(np.trace(covariance, axis1=1, axis2=2, dtype=np.float64).mean())
    return LatentSpread(total=total, posterior=posterior)


def map_spread(
    maps: Float[np.ndarray, "m n n n"],
    mask: Float[np.ndarray, "n n n"],
    shells: tuple[int, int],
) -> float:
    """Mean squared difference of two maps of a set, over the power of their mean.

    `<Σ (m (V_i - V_j))²>_{i<j} / Σ (m <V>)²` of the maps V filtered to `shells` (first and last,
    both kept), m being the mask. Twice the variance over the mean's power; no gauge enters, only
    maps do.

    Raises `ValueError` where there are fewer than two maps, or nothing is left of the mean.
    """
    count, size = len(maps), mask.shape[0]
    if count < 2:
        raise ValueError(f"A spread needs two maps at least. Got {count}.")
    shell = np.arange(size // 2 + 1)
    band = np.where((shell >= shells[0]) & (shell <= shells[1]), 1.0, 0.0)
    total, squares = np.zeros(mask.shape), 0.0
    # About the first map: squares of whole maps would leave nothing of small differences.
    for volume in maps:
        difference = filter_shells(volume.astype(np.float64) - maps[0], band) * mask
        total += difference
        squares += float(np.sum(difference**2))
    mean = filter_shells(maps[0].astype(np.float64), band) * mask + total / count
    power = float(np.sum(mean**2))
    if power == 0:
        raise ValueError(f"The mean map has no power in shells {shells} under the mask.")
    variance = (squares - float(np.sum(total**2)) / count) / (count - 1)
    return 2 * variance / power


def false_heterogeneity(
    maps: Float[np.ndarray, "m n n n"],
    noise_maps: Float[np.ndarray, "k n n n"],
    mask: Float[np.ndarray, "n n n"],
    shells: tuple[int, int],
) -> float:
    """`map_spread` of decoded maps over that of maps that noise alone makes differ.

    - `noise_maps`: reconstructions of the rigid molecule from random sets of as many images as a
      decoded map draws on, say.

    1: no more than noise explains. Infinite where the noise maps are all the same.
    """
    noise = map_spread(noise_maps, mask, shells)
    return map_spread(maps, mask, shells) / noise if noise else float("inf")
