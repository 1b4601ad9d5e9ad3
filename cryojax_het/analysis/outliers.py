"""Junk told from rare conformations: what a model leaves unexplained, image by image.

An image of noise, or of another molecule, is not explained by the model at any latent: its
contrast is low for what the model predicts, and what remains of it has the power of a particle. A
rare conformation is explained as well as any other, at a latent where few images are: how dense
latents are is reported, and never counts as a sign of junk.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Int

from ..inference.image_scores import ImageProducts
from .chance import as_points
from .density import LatentPosteriors

CONTRAST_RANGE = (0.1, 3.5)  # times the median; beyond it an image is no single particle
_ROUNDS = 6
_FEWEST = 50  # images of an optics group whose noise is told from that of all


@final
@dataclass(frozen=True, kw_only=True)
class ImageScores:
    """Scores of N images.

    - `contrast`: by least squares, over the median; `contrast_deviation`: from the median, in
      standard deviations that its own noise and the spread of all images account for.
    - `band_excess`: `(χ² - n) / √(2n)` of the residual in each band of n degrees of freedom, about
      its median and in units of its robust spread; `residual_excess`: their sum, weighted by what
      the power of an unexplained particle would do to each, in the same units.
    - `particle_ratio`: `log p(y | V(z)) - log p(y | 0)`, `mean_ratio`:
      `log p(y | V(z)) - log p(y | V(0))`, each at its best contrast, in nats.
    - `mahalanobis`: of the latent among all, `√((m - m̄)ᵀ S⁻¹ (m - m̄))`; `log_density` of images
      about it, by the distance to the 20th nearest: of rarity, not of junk.
    """

    contrast: Float[np.ndarray, " n"]
    contrast_deviation: Float[np.ndarray, " n"]
    band_excess: Float[np.ndarray, "n k"]
    residual_excess: Float[np.ndarray, " n"]
    particle_ratio: Float[np.ndarray, " n"]
    mean_ratio: Float[np.ndarray, " n"]
    mahalanobis: Float[np.ndarray, " n"]
    log_density: Float[np.ndarray, " n"]

    def junk(self) -> Float[np.ndarray, " n"]:
        """`√(s² + min(max(q, 0), s)²)`, of the missing contrast `s = max(-t, 0)` and the residual's
        excess q, t being the contrast's deviation.

        The residual counts no more than the missing contrast: where the particle is there in full
        and something remains, it may be a conformation that the model does not reach.
        """
        short, left = np.maximum(-self.contrast_deviation, 0), np.maximum(self.residual_excess, 0)
        return np.hypot(short, np.minimum(left, short))

    def flagged(self, threshold: float = 4.0) -> Bool[np.ndarray, " n"]:
        """Whether an image is taken for junk: `junk` above the threshold, a contrast beyond
        `CONTRAST_RANGE`, or no scores."""
        low, high = CONTRAST_RANGE
        beyond = ~((self.contrast >= low) & (self.contrast <= high))
        return (self.junk() > threshold) | beyond

    def columns(self) -> dict[str, Float[np.ndarray, " n"]]:
        """All scores by name, those of bands numbered from 1."""
        names = ("contrast", "contrast_deviation", "residual_excess", "particle_ratio")
        names += ("mean_ratio", "mahalanobis", "log_density")
        bands = {f"band_{i}_excess": band for i, band in enumerate(self.band_excess.T, 1)}
        return {"junk": self.junk()} | {name: getattr(self, name) for name in names} | bands


def score_images(
    products: ImageProducts, posteriors: LatentPosteriors, group: Int[np.ndarray, " n"]
) -> ImageScores:
    """Scores of all images; `group`: optics group of each, whose noise is scaled so that the median
    image has the χ² it should. Rows of `products` that are NaN throughout, of images that were left
    out, have NaN for scores.

    Medians and spreads are those of good images: of all at first, then, a few times, of those that
    are not flagged, since a fifth of junk on one side would move them.

    Raises `ValueError` where an image has some numbers only, or the model does not fit the median
    one.
    """
    good = np.isnan(products.observed).sum(axis=1) < products.observed.shape[1]
    as_points(np.where(good[:, None], products.observed, 0.0), "products")
    rarity = _mahalanobis(posteriors.mean), log_density(posteriors.mean)
    for _ in range(_ROUNDS):
        scores = _score(products, group, good, rarity)
        unflagged = ~scores.flagged()
        if np.array_equal(unflagged, good) or unflagged.mean() < 0.5:
            break
        good = unflagged
    return scores


def _score(products, group, good, rarity) -> ImageScores:
    scale = _noise_scale(products, group, good)
    cross, power = products.cross / scale, products.power / scale
    total = np.maximum(power.sum(axis=1), np.finfo(np.float32).tiny)
    contrast = cross.sum(axis=1) / total
    usual = float(np.median(contrast[good]))
    if usual <= 0:
        raise ValueError(
            f"The median image has the contrast {usual:.3g} against the model: either it does not "
            "fit these images, or their sign is the other (`--invert`)."
        )
    left = _residual(products.observed / scale, cross, power, contrast)
    freedom = products.freedom
    excess = _standardised((left - freedom) / np.sqrt(2 * freedom), good)
    weight = usual**2 * np.median(power[good], axis=0) / np.sqrt(2 * freedom)
    still = (products.neutral_cross / scale).sum(axis=1) ** 2
    neutral = 0.5 * still / np.maximum((products.neutral_power / scale).sum(axis=1), 1e-30)
    explained = 0.5 * cross.sum(axis=1) ** 2 / total
    return ImageScores(
        contrast=contrast / usual,
        contrast_deviation=_contrast_deviation(contrast, usual, total, good),
        band_excess=excess,
        residual_excess=_standardised(excess @ weight, good),
        particle_ratio=explained,
        mean_ratio=explained - neutral,
        mahalanobis=rarity[0],
        log_density=rarity[1],
    )


def _residual(observed, cross, power, contrast):
    """`|y - c x|²` in each band."""
    c = contrast[:, None]
    return observed - 2 * c * cross + c**2 * power


def _noise_scale(products, group, good) -> Float[np.ndarray, "n k"]:
    """By which the noise of each band was estimated too low, per optics group."""
    contrast = products.cross.sum(axis=1) / np.maximum(products.power.sum(axis=1), 1e-30)
    left = _residual(products.observed, products.cross, products.power, contrast)
    # Median of χ²/n is (1 - 2/9n)³ (Wilson & Hilferty 1931).
    left = left / products.freedom / (1 - 2 / (9 * products.freedom)) ** 3
    scale = np.tile(np.median(left[good], axis=0), (len(products), 1))
    for number in np.unique(group):
        rows = group == number
        if np.count_nonzero(rows & good) >= _FEWEST:
            scale[rows] = np.median(left[rows & good], axis=0)
    return np.maximum(scale, 1e-12)


def _standardised(values, good):
    """About the median, in units of the spread, both of good images."""
    about = values - np.median(values[good], axis=0)
    return about / np.maximum(_spread(about[good]), 1e-12)


def _spread(about):
    # 1.4826: the median absolute deviation of a normal variable is that part of its deviation.
    return 1.4826 * np.median(np.abs(about), axis=0)


def _contrast_deviation(contrast, usual, total, good):
    own = 1 / total
    common = float(_spread(contrast[good] - usual)) ** 2 - float(np.median(own[good]))
    return (contrast - usual) / np.sqrt(own + max(common, 0.0))


def _mahalanobis(latent):
    points = as_points(latent, "latent")
    about = points - points.mean(axis=0)
    covariance = np.atleast_2d(np.cov(about.T)) + 1e-12 * np.eye(points.shape[1])
    return np.sqrt(np.einsum("ni,ni->n", about, np.linalg.solve(covariance, about.T).T))


def log_density(latent: Float[np.ndarray, "n d"], count: int = 20) -> Float[np.ndarray, " n"]:
    """Of images about each latent, up to a constant: `-d ln r` with r the distance to the
    `count`-th nearest other image."""
    from scipy.spatial import KDTree

    points = as_points(latent, "latent")
    reach = min(count, len(points) - 1)
    distance = KDTree(points).query(points, reach + 1)[0][:, -1]
    return -points.shape[1] * np.log(np.maximum(distance, 1e-9))
