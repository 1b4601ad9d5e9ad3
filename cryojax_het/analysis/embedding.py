"""Planes that latents are laid out in, to look at: one interface, a file for each way.

An embedding is for the eye and for selections by hand. Distances in the latent space that images
cannot tell are noise: those ways that go by neighbours count in units of posterior deviations.
"""

import abc

import numpy as np
from jaxtyping import Float

from .density import LatentPosteriors

LEAST = 5  # images that a plane can be laid out of


class AbstractEmbedding(abc.ABC):
    """A way to lay out N images in a plane. The same input and seed give the same plane."""

    @abc.abstractmethod
    def plane(self, posteriors: LatentPosteriors) -> Float[np.ndarray, "n 2"]:
        """Where each image lies. Raises `ValueError` for less than 5 images."""


def check_count(posteriors: LatentPosteriors) -> None:
    """`ValueError` for less than 5 images."""
    if len(posteriors) < LEAST:
        raise ValueError(f"An embedding needs {LEAST} images or more. Got {len(posteriors)}.")
