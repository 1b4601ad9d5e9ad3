"""What two runs say of the same images, in latents and in labels, compared without truth."""

import numpy as np
from jaxtyping import Float, Int

from .agreement import LatentAgreement, compare_latents
from .chance import Score, some_rows
from .composition import adjusted_rand_index
from .latent_alignment import known_in_both

_NEIGHBOURS = 30


def compare_images(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "m e"],
    limit: int = 3000,
    seed: int = 0,
) -> LatentAgreement:
    """`compare_latents` on at most `limit` images, drawn by `seed`, that have a (finite) estimate
    in both. Raises `ValueError` where rows disagree, or hardly any image is left."""
    if len(first) != len(second):
        raise ValueError(
            f"Both must be of the same images. Got latents of {len(first)} and {len(second)}."
        )
    there = known_in_both(first, second)
    if len(there) < 2 * _NEIGHBOURS:
        raise ValueError(
            f"{len(there)} images have a finite latent in both: {2 * _NEIGHBOURS} are needed."
        )
    rows = there[some_rows(len(there), limit, seed)]
    return compare_latents(first[rows], second[rows], _NEIGHBOURS, seed)


def latent_scores(agreement: LatentAgreement) -> dict[str, Score]:
    """The scores of a comparison, by the names they are shown under."""
    return {
        "latents: neighbours in common": agreement.overlap,
        "latents: distance correlation": agreement.distance,
        "latents: first read out of second": agreement.first_from_second,
        "latents: second read out of first": agreement.second_from_first,
        "latents: linear correlation": agreement.linear,
    }


def compare_labels(first: Int[np.ndarray, " n"], second: Int[np.ndarray, " m"]) -> dict[str, Score]:
    """Agreement of two ways to class the same images, whatever the classes are called; images
    without a class (-1) are a class of their own."""
    return {"labels: adjusted Rand index": adjusted_rand_index(first, second)}
