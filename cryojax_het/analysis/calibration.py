"""Whether posteriors are as wide as they are wrong: coverage of regions, and ranks of the truth."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .chance import as_points, check_paired

LEVELS = (0.5, 0.9)
_INFLATION = 0.01  # of the residual variance: what a direction's width may add by chance


@final
@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Share `observed` of the images whose truth lies in their region of probability `level`.

    `error` is its standard deviation for calibrated posteriors: `sqrt(level (1 - level) / n)`.
    """

    level: float
    observed: float
    error: float


def gaussian_coverage(
    mean: Float[np.ndarray, "n d"],
    covariance: Float[np.ndarray, "n d d"],
    truth: Float[np.ndarray, "m e"],
    levels: tuple[float, ...] = LEVELS,
) -> tuple[Coverage, ...]:
    """Coverage by the ellipsoids `(z - μ)ᵀ Σ⁻¹ (z - μ) <= χ²_d(level)` of Gaussian posteriors.

    Raises `ValueError` where rows or dimensions disagree, or a covariance is not positive definite.
    """
    from scipy.stats import chi2

    check_paired(mean, truth, ("mean", "truth"))
    if mean.shape[1] != truth.shape[1]:
        raise ValueError(
            f"The posterior has {mean.shape[1]} dimensions, the truth {truth.shape[1]}: `align` it."
        )
    _check_covariances(covariance)
    residual = (as_points(truth, "truth") - as_points(mean, "mean"))[..., None]
    distance = np.sum(residual * np.linalg.solve(covariance, residual), axis=(1, 2))
    within = chi2.cdf(distance, mean.shape[1])
    return tuple(_coverage(level, np.where(within <= level, 1.0, 0.0)) for level in levels)


def sample_coverage(
    samples: Float[np.ndarray, "n k d"],
    truth: Float[np.ndarray, "m e"],
    levels: tuple[float, ...] = LEVELS,
) -> tuple[Coverage, ...]:
    """Coverage by central regions of posteriors given by k samples per image.

    A sample is as central as its Mahalanobis distance in the mean and covariance of the samples
    *and* the truth: for calibrated posteriors the truth is one of k + 1 draws alike, its rank is
    uniform, and coverage is exact at any k. Ties, and levels between ranks, count in part.

    Raises `ValueError` where rows or dimensions disagree, or k is not above d.
    """
    check_paired(samples, truth, ("samples", "truth"))
    count, dimensions = samples.shape[1:]
    if dimensions != truth.shape[1] or count <= dimensions:
        raise ValueError(
            f"`samples` must have the {truth.shape[1]} dimensions of the truth, and more samples "
            f"than that. Got {count} of {dimensions} dimensions."
        )
    drawn = np.concatenate([as_points(truth, "truth")[:, None], samples], axis=1)
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    covariance = np.einsum("nkd,nke->nde", centred, centred) / (count + 1)
    # A pseudo-inverse: samples that all agree in a dimension must not end the comparison.
    precision = np.linalg.pinv(covariance, hermitian=True)
    distance = np.einsum("nkd,nkd->nk", centred @ precision, centred)
    nearer = (distance[:, 1:] < distance[:, :1]).sum(axis=1)
    tied = 1 + (distance[:, 1:] == distance[:, :1]).sum(axis=1)
    return tuple(
        _coverage(level, np.clip((level * (count + 1) - nearer) / tied, 0.0, 1.0))
        for level in levels
    )


def _check_covariances(covariance: Float[np.ndarray, "n d d"]) -> None:
    finite = np.isfinite(covariance).all(axis=(1, 2), keepdims=True)
    usable = np.where(finite, covariance, 0.0)
    good = np.linalg.eigvalsh(usable)[:, 0] > 0
    if not good.all():
        raise ValueError(
            f"{np.count_nonzero(~good)} of {len(good)} covariances are not positive definite, the "
            f"first is row {np.argmin(good)}: leave out the images that have no posterior."
        )


def _coverage(level: float, inside: Float[np.ndarray, " n"]) -> Coverage:
    error = float(np.sqrt(level * (1 - level) / len(inside)))
    return Coverage(level=level, observed=float(inside.mean()), error=error)


@final
@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Histogram of the rank of the truth among samples: flat where the posterior is calibrated.

    - `counts`: images per bin; `expected`: what a flat histogram has there.
    - `p_value`: of χ² with one degree of freedom less than bins. ∪: too narrow; ∩: too wide.
    """

    counts: Int[np.ndarray, " b"]
    expected: Float[np.ndarray, " b"]
    p_value: float


def rank_histogram(
    samples: Float[np.ndarray, "n k"], truth: Float[np.ndarray, " m"], bins: int = 10, seed: int = 0
) -> Ranks:
    """Ranks, 0 to k, of the truth of one coordinate among the k samples of each image.

    Among ties the rank is drawn by `seed`. Samples must be independent: thin a chain first.

    Talts et al. 2018, arXiv:1804.06788.
    """
    from scipy.stats import chisquare

    check_paired(samples, truth, ("samples", "truth"))
    count = samples.shape[1]
    below = (samples < truth[:, None]).sum(axis=1)
    tied = (samples == truth[:, None]).sum(axis=1)
    rank = below + np.random.default_rng(seed).integers(0, tied, endpoint=True)
    parts = np.array_split(np.arange(count + 1), min(bins, count + 1))
    edges = [part[0] for part in parts] + [count + 1]
    counts = np.histogram(rank, edges)[0]
    expected = np.array([len(part) for part in parts]) * len(truth) / (count + 1)
    return Ranks(
        counts=counts, expected=expected, p_value=float(chisquare(counts, expected).pvalue)
    )


@final
@dataclass(frozen=True, kw_only=True)
class Alignment:
    """The affine map `matrix @ z + offset` from a latent to the coordinates of the truth."""

    matrix: Float[np.ndarray, "e d"]
    offset: Float[np.ndarray, " e"]

    def points(self, latent: Float[np.ndarray, "*n d"]) -> Float[np.ndarray, "*n e"]:
        """Latents, or samples of them, mapped."""
        return latent @ self.matrix.T + self.offset

    def covariances(self, covariance: Float[np.ndarray, "*n d d"]) -> Float[np.ndarray, "*n e e"]:
        """Covariances carried along: `A Σ Aᵀ`."""
        return self.matrix @ covariance @ self.matrix.T


def align(latent: Float[np.ndarray, "n d"], truth: Float[np.ndarray, "m e"]) -> Alignment:
    """The `Alignment` of least squares from posterior means to the truth.

    For methods whose latent has another gauge. The truth scatters about calibrated posterior means,
    not the means about the truth: only this regression keeps the coverage of such posteriors. What
    it forgives is a scale that means and widths have in common, not widths that are no errors.
    """
    check_paired(latent, truth, ("latent", "truth"))
    points = as_points(latent, "latent")
    design = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    solution = np.linalg.lstsq(design, as_points(truth, "truth"), rcond=None)[0]
    return Alignment(matrix=solution[:-1].T, offset=solution[-1])


def told_directions(
    latent: Float[np.ndarray, "n d"], covariance: Float[np.ndarray, "n d d"]
) -> Float[np.ndarray, "d k"]:
    """Directions of the latent that n images tell apart well enough for `align`, in columns.

    Where means vary by a variance m and posteriors are s wide, the slope of least squares is known
    up to `r²/(n m)`, r² being the residual variance, and widths carried along grow by `r² s/(n m)`
    by chance alone: without end for a coordinate that no image tells anything of, whose m is 0 and
    whose s is the prior's. Only directions with `s/(n m) <= 0.01` are given, as eigenvectors of the
    variance of the means beside the mean covariance; the basis is theirs in any affine gauge.

    Raises `ValueError` for what is not finite.
    """
    points = as_points(latent, "latent")
    as_points(covariance.reshape(len(points), -1), "covariance")
    means = np.atleast_2d(np.cov(points, rowvar=False))
    both, axes = np.linalg.eigh(means + covariance.mean(axis=0))
    there = both > both[-1] * np.finfo(np.float64).eps * len(both)
    white = axes[:, there] / np.sqrt(both[there])
    share, turned = np.linalg.eigh(white.T @ means @ white)
    told = len(points) * _INFLATION * share >= 1 - share
    return white @ turned[:, told]
