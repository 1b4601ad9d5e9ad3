"""How well a latent follows a coordinate of the truth, whatever the gauge of the latent."""

import numpy as np
from jaxtyping import Float

from .chance import Score, as_points, check_paired, some_rows
from .readout import read_out

_BLOCK = 256


def monotone_correlation(
    latent: Float[np.ndarray, " n"], coordinate: Float[np.ndarray, " m"]
) -> Score:
    """`|Spearman's ρ|` of a latent of one dimension with a coordinate on an interval.

    No increasing or decreasing map of either changes it. Chance: `sqrt(2 / (π (n - 1)))`, the mean
    size of a normal variable with the variance of ρ. 0 where either is constant.
    """
    check_paired(latent, coordinate, ("latent", "coordinate"))
    size = as_points(latent[:, None], "latent").size
    as_points(coordinate[:, None], "coordinate")
    return Score(abs(_spearman(latent, coordinate)), float(np.sqrt(2 / np.pi / (size - 1))))


def readout_correlation(
    latent: Float[np.ndarray, "n d"], coordinate: Float[np.ndarray, " m"], seed: int = 0
) -> Score:
    """Spearman's ρ of a coordinate on an interval with its `read_out` from a latent.

    The read-out knows the sign, so a negative ρ is none. Chance is 0.
    """
    predicted = read_out(latent, coordinate[:, None], seed).predicted
    return Score(_spearman(predicted[:, 0], coordinate), 0.0)


def circular_correlation(latent: Float[np.ndarray, " n"], angle: Float[np.ndarray, " m"]) -> Score:
    """`|ρ_T|` between two angles in radians: 1 where one is the other rotated or reflected.

    `ρ_T = Σ_{i<j} sin(a_i - a_j) sin(b_i - b_j) / sqrt(Σ sin²(a_i - a_j) Σ sin²(b_i - b_j))`, in
    closed form from sums over images. Chance is 0, to order 1/n. See `circular_ranks` to also take
    away the pace at which a latent runs around.

    Fisher & Lee 1983, Biometrika 70.
    """
    check_paired(latent, angle, ("latent", "angle"))
    for values, name in ((latent, "latent"), (angle, "angle")):
        as_points(values[:, None], name)
    return Score(abs(_fisher_lee(latent, angle)), 0.0)


def circular_ranks(angle: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Angles evenly spaced in the order of the given ones around the circle; ties share theirs."""
    from scipy.stats import rankdata

    return 2 * np.pi * rankdata(np.mod(angle, 2 * np.pi)) / len(angle)


def circular_readout_correlation(
    latent: Float[np.ndarray, "n d"], angle: Float[np.ndarray, " m"], seed: int = 0
) -> Score:
    """Fisher and Lee's ρ_T of an angle with its `read_out`, by cosine and sine, from a latent.

    Chance is 0.
    """
    predicted = read_out(latent, np.stack([np.cos(angle), np.sin(angle)], axis=1), seed).predicted
    return Score(_fisher_lee(np.arctan2(predicted[:, 1], predicted[:, 0]), angle), 0.0)


def canonical_correlations(
    first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m e"]
) -> Float[np.ndarray, " c"]:
    """Canonical correlations, the largest first, one per dimension of the smaller span.

    The cosines of the angles between the spans of the centred columns. No affine map of either
    changes them. Empty where one does not vary. Hotelling 1936, Biometrika 28.
    """
    check_paired(first, second, ("first", "second"))
    one, other = _basis(as_points(first, "first")), _basis(as_points(second, "second"))
    if not one.shape[1] or not other.shape[1]:
        return np.zeros(0)
    return np.clip(np.linalg.svd(one.T @ other, compute_uv=False), 0.0, 1.0)


def linear_correlation(latent: Float[np.ndarray, "n d"], target: Float[np.ndarray, "m e"]) -> Score:
    """Mean squared canonical correlation over the dimensions of `target` (`States.embedding`).

    The share of the whitened target that an affine map of the latent explains. Chance is exact:
    `d / (n - 1)`, d being the rank of the latent. 0 for a target that does not vary.
    """
    correlations = canonical_correlations(latent, target)
    rank = _basis(as_points(target, "target")).shape[1]
    value = float(np.sum(correlations**2) / rank) if rank else 0.0
    return Score(value, _basis(as_points(latent, "latent")).shape[1] / (len(latent) - 1))


def distance_correlation(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "m e"],
    limit: int = 5000,
    seed: int = 0,
) -> Score:
    """Squared distance correlation without bias: 1 for similar shapes, 0 on average by chance.

    Euclidean distances, U-centred: `R = (A·B) / sqrt((A·A) (B·B))`; it may be a little below 0.
    Rotating, shifting and scaling either changes nothing.

    - `limit`: images it is taken over; where there are more, they are drawn by `seed`.

    Székely & Rizzo 2013, J. Multivariate Analysis 117.
    """
    check_paired(first, second, ("first", "second"))
    rows = some_rows(len(first), limit, seed)
    if len(rows) < 4:
        raise ValueError(f"A distance correlation needs 4 images at least. Got {len(rows)}.")
    one, other = as_points(first, "first")[rows], as_points(second, "second")[rows]
    products, sums = _distance_sums(one, other)
    size = len(rows)
    grand = sums.sum(axis=1)
    # Σ_{i≠j} of the product of two U-centred matrices, from plain sums (Székely & Rizzo, 2014).
    centred = (
        products
        - 2 / (size - 2) * sums @ sums.T
        + np.outer(grand, grand) / ((size - 1) * (size - 2))
    )
    scale = np.sqrt(max(centred[0, 0] * centred[1, 1], 0.0))
    return Score(float(centred[0, 1] / scale) if scale > 0 else 0.0, 0.0)


def _distance_sums(first, second) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, "2 n"]]:
    """Sums of products of the distances over all pairs, and of the distances over each row."""
    from scipy.spatial.distance import cdist

    products, sums = np.zeros((2, 2)), np.zeros((2, len(first)))
    for start in range(0, len(first), _BLOCK):
        rows = slice(start, start + _BLOCK)
        pair = np.stack([cdist(first[rows], first), cdist(second[rows], second)])
        products += np.einsum("abn,cbn->ac", pair, pair, optimize=True)
        sums[:, rows] = pair.sum(axis=2)
    return products, sums


def _spearman(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float:
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(first), rankdata(second)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.prod(np.sum(ranks**2, axis=1)))
    return float(ranks[0] @ ranks[1] / scale) if scale > 0 else 0.0


def _fisher_lee(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float:
    def pairs(angle):
        # |Σ e^{iθ}|² is the sum of cos(θ_i - θ_j) over all pairs.
        return abs(np.sum(np.exp(1j * angle))) ** 2

    size = len(first) ** 2
    product = pairs(first - second) - pairs(first + second)
    scale = (size - pairs(2 * first)) * (size - pairs(2 * second))
    return float(product / np.sqrt(scale)) if scale > 0 else 0.0


def _basis(points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n r"]:
    """An orthonormal basis of the span of the centred columns."""
    centred = points - points.mean(axis=0)
    # Columns of the same size: which of them count must not depend on units.
    size = np.linalg.norm(centred, axis=0)
    # A column that only rounding varies is constant.
    varies = size > 1e-12 * np.linalg.norm(points, axis=0)
    if not varies.any():
        return np.zeros((len(points), 0))
    factor, triangle = np.linalg.qr(centred[:, varies] / size[varies])
    vectors, values, _ = np.linalg.svd(triangle)
    return factor @ vectors[:, values > 1e-9 * values[0]]
