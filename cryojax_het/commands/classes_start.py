"""Where a classification starts: random subsets of the images, or what another run found."""

import numpy as np
from jaxtyping import Float32, Int

from ..analysis.composition import cluster
from ..analysis.density import LatentPosteriors
from ..analysis.latent_mixture import latent_mixture
from .fit_classes import ClassesConfig
from .reconstruct_data import Data


def first_shares(
    config: ClassesConfig, images: int, count: int, seed: int
) -> Float32[np.ndarray, "n k"]:
    """The share that each image starts with in each class.

    Subsets of equal size, drawn by `seed`: noisy copies of the consensus, since equal classes would
    stay equal for good. Or the labels of `config.start`; or its latents: of a run that knows their
    covariance, the mixture of points that makes its images most likely (`latent_mixture`), else
    clusters by k-means.
    """
    path = config.start_file()
    if path is None:
        return one_hot(np.random.default_rng((seed, count)).permutation(images) % count, count)
    found = np.load(path)
    if found.ndim == 2:
        covariance = config.start_covariance()
        if covariance is None:
            return one_hot(cluster(found, count, seed), count)
        posteriors = LatentPosteriors(mean=found, covariance=np.load(covariance))
        return latent_mixture(posteriors, count).probability.astype(np.float32)
    labels = found.astype(np.int64)
    if labels.max() >= count:
        raise ValueError(f"{path} has {labels.max() + 1} classes: ask for as many by `--classes`.")
    return one_hot(labels, count)


def check_start(config: ClassesConfig, data: Data) -> None:
    """`ValueError` where the start is of other images, or holds neither labels nor latents."""
    path = config.start_file()
    if path is None:
        return
    found = np.load(path, mmap_mode="r")
    if found.ndim not in (1, 2) or len(found) != len(data.particles):
        raise ValueError(
            f"{path} has the shape {found.shape}: one row for each of the {len(data.particles)} "
            "images is needed."
        )
    if found.ndim == 1 and (not np.all(np.isfinite(found)) or found.min() < 0):
        raise ValueError(f"{path}: labels must be numbers from 0. Remove images without a class.")


def one_hot(labels: Int[np.ndarray, " n"], count: int) -> Float32[np.ndarray, "n k"]:
    """1 in the column of each label."""
    return np.eye(count, dtype=np.float32)[labels]
