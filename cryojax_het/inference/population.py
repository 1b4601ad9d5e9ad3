"""How molecules are distributed over conformations, from what was believed of each image.

Belief on image i is a mixture of normal densities found under a normal prior,

    p(y_i, z) = Σ_h w_ih N(z; m_ih, C_ih),    prior N(z; 0, S)

Divided by the prior it is the likelihood, a sum of Gaussian functions of z. Of the population
p(z) = Σ_c π_c N(z; μ_c, Σ_c) the likelihood of all images is then in closed form, and is raised by
EM. Hypotheses of one image are alternatives, as the conformations z and -z are of a molecule that
moves along the beam: the other images say which is the more likely.

(Bovy, Hogg & Roweis 2011, Ann. Appl. Stat. 5: mixtures seen through noise.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float, Int

_PART = 4096  # images at a time: bounds the memory
_ENOUGH = 1e-5  # log-likelihood per image
_LEAST = 1e-8  # of the prior's variance: no component becomes narrower
_FARTHEST = 5.0  # widths of the prior
_CHOSEN_BY = 2000  # images, at most, that the number of components is told by
_FEWEST = 2.0  # images of a component


class Beliefs(NamedTuple):
    """Likelihoods of n images as sums over h hypotheses: `exp(constant + linearᵀz - ½ zᵀ P z)`.

    - `precision` P, positive semi-definite; `constant` is -inf where there is no hypothesis.
    """

    precision: Float[np.ndarray, "n h d d"]
    linear: Float[np.ndarray, "n h d"]
    constant: Float[np.ndarray, "n h"]

    def take(self, rows: Int[np.ndarray, " m"]) -> "Beliefs":
        """Of these images."""
        return Beliefs(*(array[rows] for array in self))


@final
@dataclass(frozen=True, kw_only=True)
class Population:
    """A mixture of normal densities: shares, means, covariances."""

    share: Float[np.ndarray, " c"]
    mean: Float[np.ndarray, "c d"]
    covariance: Float[np.ndarray, "c d d"]

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """Mean and covariance of all."""
        mean = self.share @ self.mean
        away = self.mean - mean
        spread = np.einsum("c,ci,cj->ij", self.share, away, away)
        return mean, spread + np.tensordot(self.share, self.covariance, axes=1)


class Reweighted(NamedTuple):
    """Belief on each image under a population: moments, the weight of each hypothesis, and
    `log p(y)`."""

    mean: Float[np.ndarray, "n d"]
    covariance: Float[np.ndarray, "n d d"]
    weight: Float[np.ndarray, "n h"]
    log_likelihood: Float[np.ndarray, " n"]


def beliefs_under(
    prior: Float[np.ndarray, "d d"],
    log_weight: Float[np.ndarray, "n h"],
    mean: Float[np.ndarray, "n h d"],
    covariance: Float[np.ndarray, "n h d d"],
) -> Beliefs:
    """Likelihoods, from what was believed under N(0, `prior`). Hypotheses of `log_weight` -inf, or
    with numbers that are not finite, are none.

    What is known near a belief is not carried far: the likelihood's top may lie at most 5 widths of
    the prior away, or a quarter beyond the belief itself. A belief nearly as wide as the prior but
    off its centre, or wider, as approximations can be, would else make images the more likely the
    farther away their molecules are.
    """
    found = (
        np.isfinite(log_weight) & np.isfinite(mean).all(-1) & np.isfinite(covariance).all((-1, -2))
    )
    factor = np.linalg.cholesky(prior)
    inverse = np.linalg.inv(factor)
    one = np.eye(len(prior))
    within = np.where(found[..., None, None], inverse @ covariance @ inverse.T, one)
    values, vectors = np.linalg.eigh(within)
    centre = np.where(found[..., None], mean, 0) @ inverse.T
    off = np.abs(np.einsum("nhik,nhi->nhk", vectors, centre))
    # A top at distance t has the variance 1 - off / t.
    values = np.clip(values, 1e-12, 1 - off / np.maximum(_FARTHEST, 1.25 * off))
    precise = lambda weight: np.einsum("nhik,nhk,nhjk->nhij", vectors, weight, vectors)
    along = np.einsum("nhik,nhi->nhk", vectors, centre) / values
    linear = np.einsum("nhik,nhk->nhi", vectors, along)
    square = np.sum(np.einsum("nhik,nhi->nhk", vectors, centre) * along, axis=-1)
    constant = np.where(found, log_weight, -np.inf) - 0.5 * (np.log(values).sum(-1) + square)
    return Beliefs(inverse.T @ precise(1 / values - 1) @ inverse, linear @ inverse, constant)


def reweighted(beliefs: Beliefs, population: Population) -> Reweighted:
    """Belief on every image under `population` in place of the prior."""
    parts = [_belief(part, population) for part in _parts(beliefs)]
    return Reweighted(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def log_likelihood(beliefs: Beliefs, population: Population) -> float:
    """`Σ_i log p(y_i)`, up to the constant that the beliefs' weights have."""
    return float(sum(_expected(part, population)[2].sum() for part in _parts(beliefs)))


def em_step(
    beliefs: Beliefs, population: Population, floor: Float[np.ndarray, "d d"]
) -> tuple[Population, float]:
    """One step of EM, which never lowers the likelihood while no covariance reaches `floor`; and
    the log-likelihood before it."""
    count, size = population.mean.shape
    total, first, second = np.zeros(count), np.zeros((count, size)), np.zeros((count, size, size))
    before = 0.0
    for part in _parts(beliefs):
        share, (centre, spread), value = _expected(part, population)
        before += float(value.sum())
        total += share.sum((0, 1))
        first += np.einsum("nhc,nhcd->cd", share, centre)
        second += np.einsum("nhc,nhci,nhcj->cij", share, centre, centre, optimize=True)
        second += np.einsum("nhc,nhcij->cij", share, spread)
    kept = total >= min(_FEWEST, total.max())
    total, first, second = total[kept], first[kept], second[kept]
    mean = first / total[:, None]
    covariance = second / total[:, None, None] - mean[:, :, None] * mean[:, None, :]
    found = Population(share=total / total.sum(), mean=mean, covariance=_above(covariance, floor))
    return found, before


def fitted_population(
    beliefs: Beliefs, start: Population, prior: Float[np.ndarray, "d d"], steps: int = 300
) -> tuple[Population, float]:
    """EM from `start` until a step gains little; the population and its log-likelihood, but for the
    last step's gain."""
    population, last = start, -np.inf
    for _ in range(steps):
        after, value = em_step(beliefs, population, _LEAST * prior)
        if value - last < _ENOUGH * len(beliefs.constant):
            return population, value
        population, last = after, value
    return population, last


def first_population(
    beliefs: Beliefs, prior: Float[np.ndarray, "d d"], count: int, seed: int
) -> Population:
    """`count` components about means of random images that lie apart, each as wide as all are."""
    whole = Population(share=np.ones(1), mean=np.zeros((1, len(prior))), covariance=prior[None])
    known = reweighted(beliefs, whole)
    centre, spread = known.mean.mean(axis=0), np.cov(known.mean.T, bias=True)
    spread = np.atleast_2d(spread) + known.covariance.mean(axis=0)
    if count == 1:
        return Population(share=np.ones(1), mean=centre[None], covariance=spread[None])
    rng = np.random.default_rng(seed)
    unit = np.linalg.inv(np.linalg.cholesky(spread))
    points = known.mean @ unit.T
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.sum((points - points[chosen[-1]]) ** 2, axis=1))
        chosen.append(int(rng.choice(len(points), p=nearest / nearest.sum())))
    return Population(
        share=np.full(count, 1 / count),
        mean=known.mean[chosen],
        covariance=np.tile(spread / count, (count, 1, 1)),
    )


def chosen_population(
    beliefs: Beliefs, prior: Float[np.ndarray, "d d"], most: int, seed: int
) -> tuple[Population, list[float]]:
    """The least number of components, of 1 to `most`, under which a fifth of the images, kept
    apart, is as likely as under any number, within a standard error; then fitted to all. Also the
    log-likelihood per image kept apart, by number."""
    count = len(beliefs.constant)
    order = np.random.default_rng(seed).permutation(count)
    apart, rest = order[: max(count // 5, 2)], order[max(count // 5, 2) :][:_CHOSEN_BY]
    known, held = beliefs.take(rest), beliefs.take(apart)
    best, values = [], []
    for number in range(1, most + 1):
        firsts = [first_population(known, prior, number, seed + t) for t in range(min(number, 2))]
        found = [fitted_population(known, first, prior) for first in firsts]
        best.append(max(found, key=lambda one: one[1])[0])
        values.append(reweighted(held, best[-1]).log_likelihood)
    less = max(values, key=np.mean) - np.array(values)
    worth = less.mean(axis=1) <= less.std(axis=1) / np.sqrt(len(apart))
    population, _ = fitted_population(beliefs, best[int(np.argmax(worth))], prior)
    return population, [float(value.mean()) for value in values]


def fitted_width(
    beliefs: Beliefs, shape: Float[np.ndarray, "d d"], start: float = 1.0, steps: int = 100
) -> float:
    """`s` of the most likely population N(0, s² `shape`), by EM from `start`."""
    inverse, size, variance = np.linalg.inv(shape), len(shape), start**2
    for _ in range(steps):
        one = Population(
            share=np.ones(1), mean=np.zeros((1, size)), covariance=variance * shape[None]
        )
        known = reweighted(beliefs, one)
        second = np.einsum("ni,nj->ij", known.mean, known.mean) / len(known.mean)
        second += known.covariance.mean(axis=0)
        before, variance = variance, float(np.sum(inverse * second)) / size
        if abs(variance / before - 1) < 1e-4:
            break
    return float(np.sqrt(variance))


def _parts(beliefs: Beliefs) -> Iterator[Beliefs]:
    for start in range(0, len(beliefs.constant), _PART):
        yield Beliefs(*(array[start : start + _PART] for array in beliefs))


def _expected(beliefs: Beliefs, population: Population):
    """Share of each hypothesis and component in each image; moments of z under each; `log p(y)`."""
    inverse = np.linalg.inv(population.covariance)
    pull = np.einsum("cij,cj->ci", inverse, population.mean)
    precision = beliefs.precision[:, :, None] + inverse
    linear = beliefs.linear[:, :, None] + pull
    spread = np.linalg.inv(precision)
    centre = np.einsum("nhcij,nhcj->nhci", spread, linear)
    own = np.linalg.slogdet(population.covariance)[1] + np.sum(pull * population.mean, axis=-1)
    log = beliefs.constant[:, :, None] + np.log(np.maximum(population.share, 1e-300)) - 0.5 * own
    log = log + 0.5 * (np.sum(linear * centre, axis=-1) - np.linalg.slogdet(precision)[1])
    top = log.max(axis=(1, 2), keepdims=True)
    mixed = np.exp(log - top)
    total = mixed.sum(axis=(1, 2), keepdims=True)
    return mixed / total, (centre, spread), (top + np.log(total))[:, 0, 0]


def _belief(beliefs: Beliefs, population: Population):
    share, (centre, spread), value = _expected(beliefs, population)
    mean = np.einsum("nhc,nhcd->nd", share, centre)
    away = centre - mean[:, None, None]
    covariance = np.einsum("nhc,nhci,nhcj->nij", share, away, away, optimize=True)
    covariance += np.einsum("nhc,nhcij->nij", share, spread)
    return mean, covariance, share.sum(axis=2), value


def _above(covariance, floor):
    factor = np.linalg.cholesky(floor)
    inverse = np.linalg.inv(factor)
    values, vectors = np.linalg.eigh(inverse @ covariance @ inverse.T)
    raised = np.einsum("cik,ck,cjk->cij", vectors, np.maximum(values, 1), vectors)
    return factor @ raised @ factor.T
