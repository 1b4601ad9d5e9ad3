"""The latents of one run in the coordinates of another, and where the two disagree beyond what
their posteriors allow."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

_FEWEST = 10  # images per unknown of the map


@final
@dataclass(frozen=True, kw_only=True)
class Aligned:
    """`B z + b`, the affine map of a latent that is nearest to another, in least squares.

    - `matrix` `B`, `offset` `b`; `latent`: all rows mapped, NaN where there is no estimate;
    - `explained`: share of the variance of each coordinate of the other that it tells.
    """

    matrix: Float[np.ndarray, "e d"]
    offset: Float[np.ndarray, " e"]
    latent: Float[np.ndarray, "n e"]
    explained: Float[np.ndarray, " e"]


def known_in_both(
    first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "n e"]
) -> Int[np.ndarray, " m"]:
    """Rows of images that have a (finite) latent in both."""
    return np.flatnonzero(np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1))


def align(latent: Float[np.ndarray, "n d"], onto: Float[np.ndarray, "m e"]) -> Aligned:
    """Map `latent` onto `onto`, rows of the same images.

    Raises `ValueError` where rows disagree, or fewer images than ten per unknown have an estimate
    in both.
    """
    if len(latent) != len(onto):
        raise ValueError(
            f"Both must be of the same images. Got latents of {len(latent)} and {len(onto)}."
        )
    there = known_in_both(latent, onto)
    needed = _FEWEST * (latent.shape[1] + 1)
    if len(there) < needed:
        raise ValueError(f"{len(there)} images have a latent in both: {needed} are needed.")
    mean, target = latent[there].mean(axis=0), onto[there].mean(axis=0)
    matrix = np.linalg.lstsq(latent[there] - mean, onto[there] - target, rcond=1e-8)[0].T
    offset = target - matrix @ mean
    mapped = latent @ matrix.T + offset
    left = np.sum((onto[there] - mapped[there]) ** 2, axis=0)
    total = np.sum((onto[there] - target) ** 2, axis=0)
    explained = 1 - np.divide(left, total, out=np.ones_like(left), where=total > 0)
    return Aligned(matrix=matrix, offset=offset, latent=mapped, explained=explained)


def disagreement(
    aligned: Aligned,
    onto: Float[np.ndarray, "n e"],
    covariance: Float[np.ndarray, "n d d"] | None = None,
    covariance_onto: Float[np.ndarray, "n e e"] | None = None,
) -> Float[np.ndarray, " n"]:
    """How many standard deviations the two are apart, image by image: the root of the mean over
    coordinates of `(z - z')² / (C + B C' Bᵀ)`.

    About 1 where posteriors account for the difference. Of a run without posteriors, the spread of
    the differences takes their place.
    """
    apart = onto - aligned.latent
    variance = np.zeros_like(apart)
    if covariance is not None:
        matrix = aligned.matrix
        variance += np.einsum("ea,nab,eb->ne", matrix, covariance, matrix, optimize=True)
    if covariance_onto is not None:
        variance += np.einsum("nee->ne", covariance_onto)
    if covariance is None or covariance_onto is None:
        variance = np.maximum(variance, np.nanvar(apart, axis=0))
    variance = np.maximum(variance, np.finfo(np.float64).tiny)
    return np.sqrt(np.mean(apart**2 / variance, axis=1))


def redrawn(
    key: int, latent: Float[np.ndarray, "n d"], covariance: Float[np.ndarray, "n d d"]
) -> Float[np.ndarray, "n d"]:
    """A draw from the normal posterior of every image, by the seed `key`."""
    values, vectors = np.linalg.eigh(covariance)
    noise = np.random.default_rng(key).standard_normal(latent.shape)
    return latent + np.einsum(
        "nab,nb->na", vectors * np.sqrt(np.maximum(values, 0))[:, None], noise
    )
