"""The baselines of a simulated data set: the consensus map, and an oracle that knows all states.

Both are weightings of the states' normal equations (`state_sums.py`), gathered in one pass: equal
weights for the consensus, and for the oracle of a state `exp(-d²/2h²)`, `d` being the distance of
the others from it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Int

from ..particles.source import AbstractImageSource
from ..simulate.states import States
from ..simulate.truth import GroundTruth
from .mask import filter_shells
from .state_sums import GroupSums, accumulate


def state_sums(source: AbstractImageSource, truth: GroundTruth, batch: int = 16) -> GroupSums:
    """The sums of every true state. `batch`: see `accumulate`."""
    return accumulate(source, truth, truth.images.state, len(truth.states), batch)


def consensus(sums: GroupSums) -> Float32[np.ndarray, "n n n"]:
    """The reconstruction of all images as if they were of one molecule."""
    return sums.map(np.ones(len(sums)))


def oracle_map(
    sums: GroupSums, states: States, state: int, bandwidth: float
) -> Float32[np.ndarray, "n n n"]:
    """The map of a state from true labels, its neighbours weighted by `exp(-d²/2h²)`.

    - `bandwidth`: `h` in the units of `States.distances`; 0: images of this state alone, infinite:
      the consensus.
    """
    return sums.map(neighbour_weights(states, state, bandwidth))


def neighbour_weights(states: States, state: int, bandwidth: float) -> Float[np.ndarray, " s"]:
    """`exp(-d²/2h²)` of every state; 1 at no distance, whatever the bandwidth.

    Raises `ValueError` for a negative bandwidth.
    """
    if not bandwidth >= 0:
        raise ValueError(f"`bandwidth` must be 0 or more. Got {bandwidth}.")
    points = states.embedding()
    distances = np.linalg.norm(points - points[state], axis=1)
    if bandwidth == 0:
        return (distances == 0).astype(float)
    return np.exp(-0.5 * (distances / bandwidth) ** 2)


def oracle_of_shells(
    sums: GroupSums, states: States, state: int, bandwidths: Float[np.ndarray, " k"]
) -> Float32[np.ndarray, "n n n"]:
    """The map of a state from true labels, each Fourier shell 0 to n//2 at a bandwidth of its own.

    Where the signal is strong or the states differ most, few images near the state are best; where
    it is weak, as many as there are.
    """
    blended = np.zeros((sums.groups.size,) * 3, np.float32)
    for bandwidth in np.unique(bandwidths):
        here = np.where(bandwidths == bandwidth, np.float32(1), np.float32(0))
        blended += filter_shells(oracle_map(sums, states, state, float(bandwidth)), here)
    return blended


@final
@dataclass(frozen=True, kw_only=True)
class OracleChoice:
    """Which bandwidth recovers each Fourier shell of the true maps best.

    - `scores`: mean score of each shell at each of `bandwidths` over the `states` tried, which
      were drawn by population; `best`: of each shell the bandwidth of the highest.
    """

    bandwidths: Float[np.ndarray, " h"]
    scores: Float[np.ndarray, "h k"]
    states: Int[np.ndarray, " t"]
    best: Float[np.ndarray, " k"]


def choose_bandwidths(
    sums: GroupSums,
    true_map: Callable[[int], Float32[np.ndarray, "n n n"]],
    states: States,
    bandwidths: Float[np.ndarray, " h"],
    score: Callable[[np.ndarray, np.ndarray], Float[np.ndarray, " k"]],
    sample: int = 12,
) -> OracleChoice:
    """Try bandwidths on about `sample` states; it is an oracle, the truth may choose.

    - `score(map, true map)`: of each shell, larger is better.
    """
    tried, share = _sample(sums.groups.counts, sample)
    scores = np.zeros((len(bandwidths), len(sums.signal)))
    for state, weight in zip(tried, share, strict=True):
        truth = true_map(int(state))
        maps = (oracle_map(sums, states, int(state), h) for h in bandwidths)
        scores += weight * np.stack([score(volume, truth) for volume in maps])
    best = bandwidths[np.argmax(scores, axis=0)]
    return OracleChoice(bandwidths=bandwidths, scores=scores, states=tried, best=best)


def default_bandwidths(states: States) -> Float[np.ndarray, " h"]:
    """0, then a geometric series from half the distance of neighbouring states to half of the
    largest distance, then infinity. Where all states are equally far apart (classes), the steps
    between are those at which another state's images weigh 0.03, 0.1 and 0.3."""
    distances = states.distances()
    apart = distances[distances > 0]
    if not apart.size:
        return np.array([0.0, np.inf])
    if np.ptp(apart) < 1e-9:
        weights = np.array([0.03, 0.1, 0.3])
        return np.concatenate([[0.0], apart[0] / np.sqrt(-2 * np.log(weights)), [np.inf]])
    low, high = apart.min() / 2, apart.max() / 2
    steps = int(np.ceil(np.log2(high / low))) + 1
    return np.concatenate([[0.0], np.geomspace(low, high, steps), [np.inf]])


def _sample(counts: Int[np.ndarray, " s"], sample: int):
    """States at evenly spaced quantiles of the images, and the share of the quantiles of each."""
    quantiles = (np.arange(sample) + 0.5) / sample * counts.sum()
    drawn = np.searchsorted(np.cumsum(counts), quantiles, side="right")
    tried, times = np.unique(drawn, return_counts=True)
    return tried, times / sample


def noise_maps(
    source: AbstractImageSource,
    truth: GroundTruth,
    count: int,
    images_per_map: int,
    seed: int,
) -> Float32[np.ndarray, "m n n n"]:
    """Maps from disjoint random sets of images, regardless of their states: on a rigid molecule,
    what noise alone makes of maps of as many images (`spread.false_heterogeneity`).

    Raises `ValueError` where there are too few images.
    """
    if not 0 < count * images_per_map <= len(source):
        raise ValueError(
            f"{count} maps of {images_per_map} images cannot be made of {len(source)} images "
            "without repeats: ask for fewer."
        )
    groups = _disjoint(len(source), count, images_per_map, seed)
    sums = accumulate(source, truth, groups, count)
    return np.stack([sums.map(alone) for alone in np.eye(count)])


def _disjoint(images: int, count: int, each: int, seed: int) -> Int[np.ndarray, " n"]:
    """A group per image: `count` groups of `each` at random, -1 for the rest."""
    groups = np.full(images, -1, np.int64)
    drawn = np.random.default_rng(seed).permutation(images)[: count * each]
    groups[drawn] = np.repeat(np.arange(count), each)
    return groups
