"""Molecules at a few points of a latent space: the mixture that makes all images likely.

    p(y_i) = Σ_k π_k p(y_i | z_k),   log p(y_i | z) = b_iᵀ z - ½ zᵀ P_i z + const

With `P_i`, `b_i` from each image's posterior. Clusters of point estimates (k-means) take noise for
spread: images of one molecule differ by their posterior width, which differs from one direction and
one image to another. Here that width is in the likelihood, and points have none.

EM finds the next maximum only. Points are therefore added one at a time, where the scatter of the
images of one point is most above what noise explains, and then moved: two that share their images
become one, and another is split, as long as the likelihood gains (Ueda, Nakano, Ghahramani & Hinton
2000, Neural Comput. 12:2109). Laird 1978, J. Am. Stat. Assoc. 73: the maximum over all densities is
such a mixture.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

from .density import LatentPosteriors

_STEPS, _TRIAL = 200, 30  # of EM: at most, and for a move to show what it is worth
_ENOUGH = 1e-6  # log-likelihood per image
_WORTH = 0.5  # log-likelihood of all images that a move gains at least
_PAIRS, _SPLITS = 3, 3  # tried in a round of moves
_FEW = 1e-12


@final
@dataclass(frozen=True, kw_only=True)
class LatentMixture:
    """Points, their populations, the probability of each for each image, and `Σ log p(y_i)` over
    that of images at 0."""

    place: Float[np.ndarray, "k d"]
    population: Float[np.ndarray, " k"]
    probability: Float[np.ndarray, "n k"] = field(repr=False)
    log_likelihood: float

    def labels(self) -> Int[np.ndarray, " n"]:
        """The most probable point of each image."""
        return np.argmax(self.probability, axis=1)


class _Likelihoods(NamedTuple):
    """`P` and `b` of all images."""

    precision: Float[np.ndarray, "n d d"]
    linear: Float[np.ndarray, "n d"]

    def at(self, place: Float[np.ndarray, "k d"]) -> Float[np.ndarray, "n k"]:
        """`b_iᵀ z - ½ zᵀ P_i z`."""
        products = (place[:, :, None] * place[:, None, :]).reshape(len(place), -1)
        square = self.precision.reshape(len(self.linear), -1) @ products.T
        return self.linear @ place.T - 0.5 * square

    def summed(self, share: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "k d d"]:
        """`Σ_i r_ik P_i`."""
        flat = self.precision.reshape(len(share), -1)
        return (share.T @ flat).reshape(-1, *self.precision.shape[1:])


def latent_mixture(posteriors: LatentPosteriors, count: int) -> LatentMixture:
    """The mixture of `count` points; deterministic.

    Points have the latent's prior N(0, I) (their most probable places are found). `ValueError`
    where `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"`count` must be positive. Got {count}.")
    images = _Likelihoods(*posteriors.natural())
    found = _em(images, np.zeros((1, posteriors.mean.shape[1])), np.ones(1), _STEPS)
    while len(found.place) < count:
        grown = [_em(images, *_split(images, found, k), _TRIAL) for k in _scattered(images, found)]
        best = max(grown, key=lambda one: one.log_likelihood)
        found = _moved(images, _em(images, best.place, best.population, _STEPS))
    return found


def _em(images, place, population, steps) -> LatentMixture:
    """From these points, until a step gains little."""
    before, one = -np.inf, np.eye(place.shape[1])
    for step in range(steps + 1):
        log = images.at(place) + np.log(np.maximum(population, _FEW))
        top = log.max(axis=1, keepdims=True)
        mixed = np.exp(log - top)
        total = mixed.sum(axis=1, keepdims=True)
        share, gain = mixed / total, float(np.sum(top + np.log(total)))
        if step == steps or gain - before < _ENOUGH * len(share):
            break
        before = gain
        right = share.T @ images.linear
        place = np.linalg.solve(images.summed(share) + one, right[..., None])[..., 0]
        population = share.mean(axis=0)
    return LatentMixture(place=place, population=population, probability=share, log_likelihood=gain)


class _Direction(NamedTuple):
    """Along which the images of a point scatter most above what noise explains: the step from it to
    either side that explains it, and the gain in log-likelihood that this promises."""

    step: Float[np.ndarray, " d"]
    promise: float


def _direction(images: _Likelihoods, found: LatentMixture, number: int) -> _Direction:
    """By the information matrix test: scores `g_i = b_i - P_i z` have the covariance `P_i` where z
    is the place of all. Along v the excess `e = Σ r ((vᵀg)² - vᵀPv)` is of a variance `δ² =
    e / Σ r (vᵀPv)²` of places, which gains `e² / 4Σ r (vᵀPv)²`. White 1982, Econometrica 50."""
    share, place = found.probability[:, number], found.place[number]
    score = images.linear - images.precision @ place
    expected = images.summed(share[:, None])[0]
    excess = (score * share[:, None]).T @ score - expected
    size = np.eye(len(place)) * (1e-6 * np.trace(expected) + _FEW)
    root = np.linalg.cholesky(expected + size)
    inverse = np.linalg.inv(root)
    along = inverse.T @ np.linalg.eigh(inverse @ excess @ inverse.T)[1][:, -1]
    own = max(float(along @ excess @ along), 0.0)
    square = share @ np.einsum("nij,i,j->n", images.precision, along, along, optimize=True) ** 2
    variance = own / max(float(square), _FEW)
    return _Direction(np.sqrt(variance) * along, 0.25 * own * variance)


def _scattered(images, found) -> list[int]:
    """Points whose splits promise most."""
    promise = [_direction(images, found, k).promise for k in range(len(found.place))]
    return np.argsort(promise)[::-1][:_SPLITS].tolist()


def _split(images, found, number):
    """Points and populations with point `number` as two, half of its images each."""
    step = _direction(images, found, number).step
    place = np.concatenate([found.place, found.place[number][None] + step])
    place[number] -= step
    half = found.population[number] / 2
    population = np.append(found.population, half)
    population[number] = half
    return place, population


def _merged(images, found, pair) -> LatentMixture:
    """With two points as one, at the mean of their places."""
    first, second = pair
    weight = np.maximum(found.population[[first, second]], _FEW)
    place, population = found.place.copy(), found.population.copy()
    place[first] = np.average(place[[first, second]], axis=0, weights=weight)
    population[first] = weight.sum()
    keep = np.arange(len(place)) != second
    return _em(images, place[keep], population[keep], 1)


def _moved(images: _Likelihoods, found: LatentMixture) -> LatentMixture:
    """As long as it gains: two points become one, and another is split."""
    while True:
        tried = [
            _em(images, *_split(images, less, k), _TRIAL)
            for less in (_merged(images, found, pair) for pair in _alike(found))
            for k in _scattered(images, less)
        ]
        best = max(tried, key=lambda one: one.log_likelihood, default=found)
        if best.log_likelihood < found.log_likelihood + _WORTH:
            return found
        found = _em(images, best.place, best.population, _STEPS)


def _alike(found: LatentMixture) -> list[tuple[int, int]]:
    """Pairs that share their images most, by the cosine of their probabilities."""
    overlap = found.probability.T @ found.probability
    size = np.sqrt(np.maximum(np.diag(overlap), _FEW))
    first, second = np.triu_indices(len(overlap), 1)
    order = np.argsort((overlap / np.outer(size, size))[first, second])[::-1][:_PAIRS]
    return [(int(first[o]), int(second[o])) for o in order]
