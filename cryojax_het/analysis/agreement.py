"""Two runs on the same images compared without truth, whatever the gauge of their latents.

Two half-sets, two seeds or two methods. What two runs share need not be true, but what only one of
them has is in doubt.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .chance import Score
from .correlation import canonical_correlations, distance_correlation, linear_correlation
from .neighbours import neighbour_overlap
from .readout import read_out


@final
@dataclass(frozen=True, kw_only=True)
class LatentAgreement:
    """Agreement of two latents of the same images; 1 where one is the other in another gauge.

    - `overlap`: of nearest neighbours; `distance`: distance correlation.
    - `first_from_second`, `second_from_first`: share of the variance of one that a `read_out` from
      the other explains. Unequal where one has more to tell.
    - `linear`: mean squared canonical correlation over the dimensions of the one with fewer, and
      `canonical`: the canonical correlations, largest first.
    """

    overlap: Score
    distance: Score
    first_from_second: Score
    second_from_first: Score
    linear: Score
    canonical: Float[np.ndarray, " c"]


def compare_latents(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "m e"],
    neighbours: int = 30,
    seed: int = 0,
) -> LatentAgreement:
    """Compare two latents, row i of both being of the same image.

    Of two half-sets: embed all images in both. Raises `ValueError` where rows disagree.
    """
    fewer, more = sorted((first, second), key=lambda latent: latent.shape[1])
    return LatentAgreement(
        overlap=neighbour_overlap(first, second, neighbours, seed),
        distance=distance_correlation(first, second, seed=seed),
        first_from_second=Score(read_out(second, first, seed).explained, 0.0),
        second_from_first=Score(read_out(first, second, seed).explained, 0.0),
        linear=linear_correlation(more, fewer),
        canonical=canonical_correlations(first, second),
    )
