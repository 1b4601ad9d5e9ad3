"""Points in a latent space: against a closed form, a general optimiser, and known points."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from cryojax_het.analysis.composition import adjusted_rand_index, cluster
from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.latent_mixture import latent_mixture


def posteriors(place, label, precision, seed=0):
    """Of images whose likelihoods have a precision of their own, random in direction."""
    rng, (n, d) = np.random.default_rng(seed), (len(label), place.shape[1])
    half = rng.normal(size=(n, d, d)) * np.sqrt(precision / d)
    own = half @ half.transpose(0, 2, 1)
    noise = np.einsum("nij,nj->ni", half, rng.normal(size=(n, d)))
    linear = np.einsum("nij,nj->ni", own, place[label]) + noise
    covariance = np.linalg.inv(own + np.eye(d))
    mean = np.einsum("nij,nj->ni", covariance, linear)
    return LatentPosteriors(mean=mean, covariance=covariance), own, linear


def log_joint(place, population, own, linear):
    square = np.einsum("ka,nab,kb->nk", place, own, place, optimize=True)
    return linear @ place.T - 0.5 * square + np.log(population)


def test_one_point_is_the_weighted_least_squares_mean():
    given, own, linear = posteriors(np.array([[0.7, -0.2, 0.1]]), np.zeros(50, int), 4.0)
    found = latent_mixture(given, 1)
    expected = np.linalg.solve(own.sum(axis=0) + np.eye(3), linear.sum(axis=0))
    np.testing.assert_allclose(found.place, [expected], rtol=1e-8)
    log = log_joint(expected[None], np.ones(1), own, linear).sum()
    assert found.log_likelihood == pytest.approx(log)


def test_two_points_are_the_maximum_that_a_general_optimiser_finds():
    label = (np.arange(300) % 4 == 0).astype(int)
    given, own, linear = posteriors(np.array([[-0.5, 0.3], [0.9, 0.0]]), label, 6.0)
    found = latent_mixture(given, 2)

    def loss(x):
        share = 1 / (1 + np.exp(-x[4]))
        log = log_joint(x[:4].reshape(2, 2), np.array([share, 1 - share]), own, linear)
        return -logsumexp(log, axis=1).sum() + 0.5 * np.sum(x[:4] ** 2)

    best = minimize(loss, np.array([-0.5, 0.3, 0.9, 0.0, 1.0])).x
    order = np.argsort(found.place[:, 0])
    np.testing.assert_allclose(found.place[order].ravel(), best[:4], atol=2e-3)
    assert found.population[order[0]] == pytest.approx(1 / (1 + np.exp(-best[4])), abs=2e-3)
    np.testing.assert_allclose(found.probability.mean(axis=0), found.population, atol=1e-3)


@pytest.fixture(scope="module")
def eight():
    """Eight points of unequal populations in four dimensions of unequal extent."""
    rng = np.random.default_rng(1)
    share = np.array([0.35, 0.18, 0.14, 0.11, 0.08, 0.07, 0.05, 0.02])
    place = rng.normal(size=(8, 4)) * [1.5, 1.0, 0.5, 0.3]
    label = rng.choice(8, 2000, p=share)
    return place, share, label, *posteriors(place, label, 60.0, 2)


def test_all_points_are_found_as_well_as_if_they_were_known(eight):
    place, share, label, given, own, linear = eight
    found = latent_mixture(given, 8)
    log = log_joint(place, share, own, linear)
    # The maximum is above the truth.
    assert found.log_likelihood > np.sum(logsumexp(log, axis=1))
    ceiling = adjusted_rand_index(np.argmax(log, axis=1), label).value
    reached = adjusted_rand_index(found.labels(), label).value
    assert reached > ceiling - 0.02
    assert reached > adjusted_rand_index(cluster(given.mean, 8, 0), label).value + 0.05


def test_coordinates_do_not_matter_to_the_classes(eight):
    _, _, _, given, _, _ = eight
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    turned = LatentPosteriors(mean=given.mean @ turn, covariance=turn.T @ given.covariance @ turn)
    first, second = (latent_mixture(one, 4) for one in (given, turned))
    assert first.log_likelihood == pytest.approx(second.log_likelihood, rel=1e-9)
    assert adjusted_rand_index(first.labels(), second.labels()).value == pytest.approx(1)


def test_a_number_that_is_no_number_of_points(eight):
    with pytest.raises(ValueError, match="positive"):
        latent_mixture(eight[3], 0)
