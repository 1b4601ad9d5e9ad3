"""Classes found against classes that are: labels up to their names, populations, neighbours."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int, Integer

from .chance import Score, as_points, check_paired
from .neighbours import nearest


def adjusted_rand_index(found: Integer[np.ndarray, " n"], true: Integer[np.ndarray, " m"]) -> Score:
    """Agreement of two ways to class the images, over pairs of images: 1 where they are the same.

    `(Σ C(n_ij, 2) - E) / (½ (Σ C(a_i, 2) + Σ C(b_j, 2)) - E)`, E being the first sum's mean under
    shuffled labels; chance is exactly 0. 1 where both have a single class.

    Hubert & Arabie 1985, J. Classification 2.
    """
    table = contingency(found, true)

    def pairs(counts):
        return float(np.sum(counts * (counts - 1)) / 2)

    both, first, second = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = first * second / max(pairs(table.sum()), 1.0)
    room = (first + second) / 2 - expected
    return Score((both - expected) / room if room else 1.0, 0.0)


def contingency(
    found: Integer[np.ndarray, " n"], true: Integer[np.ndarray, " m"]
) -> Float[np.ndarray, "a b"]:
    """Number of images of each found class (rows) in each true one (columns).

    Only classes that occur, in order of their labels.
    """
    check_paired(found, true, ("found", "true"))
    rows, row = np.unique(found, return_inverse=True)
    columns, column = np.unique(true, return_inverse=True)
    table = np.zeros((len(rows), len(columns)))
    np.add.at(table, (row.ravel(), column.ravel()), 1.0)
    return table


@final
@dataclass(frozen=True, kw_only=True)
class MatchedClasses:
    """Found classes matched one to one with true ones, so that the most images agree.

    - `accuracy`: share of the images whose class is the match of their true one; `chance` is what
      one class for all would have: the largest true population.
    - `population_error`: total variation `½ Σ|p - q|` between found and true populations. Classes
      without a match count in full.
    """

    accuracy: Score
    population_error: float


def match_classes(
    found: Integer[np.ndarray, " n"], true: Integer[np.ndarray, " m"]
) -> MatchedClasses:
    """Match classes by the Hungarian algorithm (Kuhn 1955) on their `contingency`."""
    from scipy.optimize import linear_sum_assignment

    table = contingency(found, true) / len(found)
    rows, columns = linear_sum_assignment(table, maximize=True)
    found_share, true_share = table.sum(axis=1), table.sum(axis=0)
    agreed = np.minimum(found_share[rows], true_share[columns]).sum()
    return MatchedClasses(
        accuracy=Score(float(table[rows, columns].sum()), float(true_share.max())),
        # ½ Σ|p - q| = 1 - Σ min(p, q).
        population_error=float(max(1 - agreed, 0.0)),
    )


def neighbour_accuracy(
    latent: Float[np.ndarray, "n d"],
    true: Integer[np.ndarray, " m"],
    count: int = 30,
    seed: int = 0,
) -> Score:
    """Share of images whose true class their nearest neighbours in `latent` tell, each true class
    weighing the same. No clustering is needed.

    Each of the `count` neighbours votes with the inverse size of its class: rare classes are found
    as well as large ones. Chance is one in the number of classes, less about one over their size
    because no image is its own neighbour.
    """
    check_paired(latent, true, ("latent", "true"))
    classes, label = np.unique(true, return_inverse=True)
    label = label.ravel()
    rows = np.arange(len(label))
    votes = np.zeros((len(label), len(classes)))
    np.add.at(votes, (rows[:, None], label[nearest(latent, count, seed)]), 1.0)
    # Sizes with the image itself: without, they would differ by its own class and so tell of it.
    votes /= np.bincount(label)
    right = np.argmax(votes, axis=1) == label
    recall = np.bincount(label, right) / np.bincount(label)
    return Score(float(recall.mean()), 1 / len(classes))


def cluster(
    latent: Float[np.ndarray, "n d"], classes: int, seed: int = 0, restarts: int = 10
) -> Int[np.ndarray, " n"]:
    """Labels of `classes` clusters by k-means, the tightest of several starts (k-means++).

    Fewer where the latent has fewer distinct rows. Raises `ValueError` where `classes` is not
    positive, or every start left a class empty.
    """
    from scipy.cluster.vq import ClusterError, kmeans2

    if classes < 1:
        raise ValueError(f"`classes` must be positive. Got {classes}.")
    points = as_points(latent, "latent")
    places, place_of = np.unique(points, axis=0, return_inverse=True)
    if len(places) <= classes:
        return place_of.ravel().astype(np.int64)
    rng = np.random.default_rng(seed)
    best, tightest = None, np.inf
    for _ in range(restarts):
        try:
            centres, labels = kmeans2(
                points, _starts(points, classes, rng), 50, minit="matrix", missing="raise"
            )
        except ClusterError:
            continue
        spread = float(np.sum((points - centres[labels]) ** 2))
        if spread < tightest:
            best, tightest = labels, spread
    if best is None:
        raise ValueError(f"All {restarts} starts lost a class. Ask for fewer than {classes}.")
    return best.astype(np.int64)


def _starts(points, classes, rng) -> Float[np.ndarray, "k d"]:
    """Rows far from one another (k-means++, Arthur & Vassilvitskii 2007)."""
    centres = [points[rng.integers(len(points))]]
    squared = np.full(len(points), np.inf)
    while len(centres) < classes:
        squared = np.minimum(squared, np.sum((points - centres[-1]) ** 2, axis=1))
        centres.append(points[rng.choice(len(points), p=squared / squared.sum())])
    return np.stack(centres)
