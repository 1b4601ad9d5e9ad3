"""The population over conformations: closed forms against sums on a grid, EM, and what it finds."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cryojax_het.inference.population import (
    Population,
    beliefs_under,
    chosen_population,
    em_step,
    first_population,
    fitted_population,
    fitted_width,
    log_likelihood,
    reweighted,
)

PRIOR = np.array([[4.0, 0.5], [0.5, 1.0]])
MIXTURE = Population(
    share=np.array([0.3, 0.7]),
    mean=np.array([[1.5, -0.5], [-1.0, 0.4]]),
    covariance=np.array([[[0.5, 0.1], [0.1, 0.3]], [[0.8, -0.2], [-0.2, 0.4]]]),
)


def beliefs(count=5, hypotheses=3, seed=0):
    """Random hypotheses, narrower than the prior."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(count, hypotheses, 2, 2)) / 2
    likelihood = root @ root.swapaxes(-1, -2) + 0.3 * np.eye(2)
    covariance = np.linalg.inv(likelihood + np.linalg.inv(PRIOR))
    mean = 0.4 * rng.normal(size=(count, hypotheses, 2))
    return rng.normal(size=(count, hypotheses)), mean, covariance


def test_moments_and_likelihood_are_those_on_a_grid():
    weight, mean, covariance = beliefs()
    weight[0, 2] = -np.inf
    mean[1, 1] = np.nan
    found = reweighted(beliefs_under(PRIOR, weight, mean, covariance), MIXTURE)
    axis = np.linspace(-9, 9, 361)
    z = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    step = (axis[1] - axis[0]) ** 2
    normal = lambda m, c: multivariate_normal(m, c).pdf(z)
    population = sum(
        s * normal(m, c)
        for s, m, c in zip(MIXTURE.share, MIXTURE.mean, MIXTURE.covariance, strict=True)
    )
    for i in range(5):
        terms = [
            np.exp(weight[i, h]) * normal(mean[i, h], covariance[i, h]) / normal([0, 0], PRIOR)
            for h in range(3)
            if np.isfinite(weight[i, h]) and np.isfinite(mean[i, h]).all()
        ]
        joint = np.sum(terms, axis=0) * population * step
        total = joint.sum()
        assert found.log_likelihood[i] == pytest.approx(np.log(total), abs=1e-8)
        centre = joint @ z / total
        np.testing.assert_allclose(found.mean[i], centre, atol=1e-8)
        away = z - centre
        spread = np.einsum("g,gi,gj->ij", joint, away, away) / total
        np.testing.assert_allclose(found.covariance[i], spread, atol=1e-8)
    np.testing.assert_allclose(found.weight.sum(axis=1), 1)
    assert found.weight[0, 2] == 0
    assert found.weight[1, 1] == 0


def test_under_the_prior_itself_beliefs_come_back():
    weight, mean, covariance = beliefs(hypotheses=1)
    same = Population(share=np.ones(1), mean=np.zeros((1, 2)), covariance=PRIOR[None])
    found = reweighted(beliefs_under(PRIOR, weight, mean, covariance), same)
    np.testing.assert_allclose(found.mean, mean[:, 0], atol=1e-10)
    np.testing.assert_allclose(found.covariance, covariance[:, 0], atol=1e-10)
    np.testing.assert_allclose(found.log_likelihood, weight[:, 0], atol=1e-10)


def test_em_never_lowers_the_likelihood():
    known = beliefs_under(PRIOR, *beliefs(count=200))
    population = first_population(known, PRIOR, 3, seed=1)
    values = []
    for _ in range(30):
        after, value = em_step(known, population, 1e-12 * PRIOR)
        assert value == pytest.approx(log_likelihood(known, population), abs=1e-9)
        values.append(value)
        population = after
    assert (np.diff(values) > -1e-9).all()
    assert values[-1] > values[0] + 0.1


def seen(count, hypotheses_mirrored, seed=3):
    """Molecules in two states along the first coordinate, each seen through noise that differs from
    image to image; half of the images do not tell the sign of the first coordinate."""
    rng = np.random.default_rng(seed)
    state = rng.uniform(size=count) < 0.35
    truth = np.where(state[:, None], [2.0, 0.0], [-0.6, 0.5]) + 0.25 * rng.normal(size=(count, 2))
    noise = np.stack([np.diag(v) for v in rng.uniform(0.05, 0.6, (count, 2))])
    observed = truth + np.sqrt(np.diagonal(noise, axis1=1, axis2=2)) * rng.normal(size=(count, 2))
    covariance = np.linalg.inv(np.linalg.inv(noise) + np.linalg.inv(PRIOR))
    places = np.stack([observed, observed * [-1, 1]], axis=1)
    mean = np.einsum("nij,njk,nhk->nhi", covariance, np.linalg.inv(noise), places)
    both = np.repeat(covariance[:, None], 2, axis=1)
    evidence = np.stack(
        [
            [multivariate_normal(np.zeros(2), PRIOR + c).logpdf(y) for y in pair]
            for pair, c in zip(places, noise, strict=True)
        ]
    )
    evidence[(~hypotheses_mirrored)[:, None] & np.array([False, True])] = -np.inf
    return truth, beliefs_under(PRIOR, evidence, mean, both)


def test_two_states_are_found_and_settle_which_hypothesis_is_true():
    mirrored = np.arange(1500) % 2 == 0
    truth, known = seen(1500, mirrored)
    population, scores = chosen_population(known, PRIOR, most=3, seed=0)
    assert len(population.share) == 2
    assert scores[1] > scores[0] + 0.05
    order = np.argsort(population.mean[:, 0])
    np.testing.assert_allclose(population.mean[order], [[-0.6, 0.5], [2.0, 0.0]], atol=0.12)
    np.testing.assert_allclose(population.share[order], [0.65, 0.35], atol=0.05)
    found = reweighted(known, population)
    z = (truth - found.mean) / np.sqrt(np.diagonal(found.covariance, axis1=1, axis2=2))
    assert 0.93 < z.std() < 1.07
    # Of images that do not tell the sign most find it, as many as they say.
    right = found.weight[mirrored, 0] > 0.5
    assert right.mean() > 0.7
    assert abs(right.mean() - found.weight[mirrored].max(axis=1).mean()) < 0.04


def test_the_width_of_a_centred_population():
    rng = np.random.default_rng(5)
    shape = np.diag([1.0, 0.25])
    truth = 1.7 * rng.normal(size=(3000, 2)) * [1.0, 0.5]
    noise = np.diag([0.5, 0.2])
    observed = truth + rng.normal(size=(3000, 2)) * np.sqrt(np.diag(noise))
    prior = 9.0 * shape
    covariance = np.linalg.inv(np.linalg.inv(noise) + np.linalg.inv(prior))
    mean = observed @ (covariance @ np.linalg.inv(noise)).T
    total = prior + noise
    evidence = -0.5 * np.einsum("ni,ij,nj->n", observed, np.linalg.inv(total), observed)
    each = np.broadcast_to(covariance, (3000, 1, 2, 2))
    known = beliefs_under(prior, evidence[:, None], mean[:, None], each)
    assert fitted_width(known, shape) == pytest.approx(1.7, rel=0.03)


def test_no_belief_is_carried_far():
    """One about as wide as the prior and off its centre has the top of its likelihood 5 away."""
    about = np.array([1.0, 0.99, 1.5]).reshape(3, 1, 1, 1)
    known = beliefs_under(np.eye(1), np.zeros((3, 1)), np.full((3, 1, 1), 0.5), about)
    np.testing.assert_allclose(known.linear / known.precision[..., 0], 5.0)
    far = beliefs_under(np.eye(1), np.zeros((1, 1)), np.full((1, 1, 1), 8.0), about[:1])
    np.testing.assert_allclose(far.linear / far.precision[..., 0], 10.0)


def test_a_belief_wider_than_the_prior_tells_nothing():
    wide = np.diag([8.0, 0.5])[None, None]
    known = beliefs_under(np.eye(2), np.zeros((1, 1)), np.zeros((1, 1, 2)), wide)
    np.testing.assert_allclose(known.precision[0, 0], np.diag([0.0, 1.0]), atol=1e-12)


def test_a_component_without_images_is_dropped():
    _, known = seen(300, np.zeros(300, bool))
    far = Population(
        share=np.array([0.99, 0.01]),
        mean=np.array([[0.0, 0.0], [50.0, 50.0]]),
        covariance=np.stack([PRIOR, 0.01 * np.eye(2)]),
    )
    found, _ = fitted_population(known, far, PRIOR)
    assert len(found.share) == 1
