"""Whether two sets of points are draws of one density."""

import numpy as np
from jaxtyping import Float

_MOST = 1500  # points of either set: the kernel's matrix grows as their square
_PERMUTATIONS = 500


def two_sample_p(
    first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m d"], seed: int = 0
) -> float:
    """p-value of the maximum mean discrepancy under a Gaussian kernel of the median distance, by
    permutations; both sets are thinned to equal numbers, at most 1,500. (Gretton et al. 2012, J.
    Mach. Learn. Res. 13.)

    Raises `ValueError` where a set has fewer than 10 points.
    """
    from scipy.spatial.distance import cdist

    if min(len(first), len(second)) < 10:
        raise ValueError(f"Both sets need 10 points or more. Got {len(first)} and {len(second)}.")
    rng, count = np.random.default_rng(seed), min(len(first), len(second), _MOST)
    chosen = lambda points: points[rng.permutation(len(points))[:count]]
    both = np.concatenate([chosen(first), chosen(second)]).astype(np.float64)
    square = cdist(both, both, "sqeuclidean")
    kernel = np.exp(-square / np.median(square))
    sign = np.repeat([1.0, -1.0], count)
    signs = np.stack([sign, *(rng.permutation(sign) for _ in range(_PERMUTATIONS))])
    values = np.sum((signs @ kernel) * signs, axis=1)
    return float((1 + np.sum(values[1:] >= values[0])) / (1 + _PERMUTATIONS))
