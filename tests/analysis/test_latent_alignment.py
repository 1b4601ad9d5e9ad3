"""Latents of two runs in one frame, and their differences beside what posteriors allow."""

import numpy as np
import pytest

from cryojax_het.analysis.latent_alignment import align, disagreement, redrawn


@pytest.fixture
def pair():
    """Estimates of the same latents by two runs, the second in another gauge, with known noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(4000, 2))
    gauge, offset = np.array([[0.5, 1.0], [-2.0, 0.3]]), np.array([3.0, -1.0])
    first = truth + 0.1 * rng.normal(size=truth.shape)
    second = (truth + 0.02 * rng.normal(size=truth.shape)) @ gauge.T + offset
    covariance = np.tile(0.01 * np.eye(2), (len(truth), 1, 1))
    other = np.tile(0.02**2 * gauge @ gauge.T, (len(truth), 1, 1))
    return truth, first, second, covariance, other


def test_an_affine_gauge_is_undone(pair):
    _, first, second, *_ = pair
    found = align(second, first)
    assert found.explained == pytest.approx(1 - 0.01 - 0.02**2, abs=0.002)
    np.testing.assert_allclose(found.latent, second @ found.matrix.T + found.offset)
    exact = align(first @ np.array([[2.0, 1.0], [0.0, 3.0]]) + 5.0, first)
    np.testing.assert_allclose(exact.latent, first, atol=1e-9)


def test_differences_within_posteriors_are_of_size_one(pair):
    _, first, second, covariance, other = pair
    found = align(second, first)
    apart = disagreement(found, first, other, covariance)
    assert np.mean(apart**2) == pytest.approx(1.0, abs=0.05)
    moved = first.copy()
    moved[3] += 2.0
    assert disagreement(found, moved, other, covariance).argmax() == 3


def test_without_posteriors_the_spread_of_differences_stands_in(pair):
    _, first, second, *_ = pair
    apart = disagreement(align(second, first), first)
    assert np.mean(apart**2) == pytest.approx(1.0, abs=0.01)


def test_images_without_an_estimate_have_none(pair):
    _, first, second, *_ = pair
    second = second.copy()
    second[5] = np.nan
    found = align(second, first)
    assert np.isnan(found.latent[5]).all()
    assert np.isnan(disagreement(found, first)[5])
    assert np.isfinite(np.delete(disagreement(found, first), 5)).all()


def test_draws_have_the_posteriors_covariance():
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    drawn = redrawn(0, np.zeros((20000, 2)), np.tile(covariance, (20000, 1, 1)))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.03)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="30 are needed"):
        align(np.zeros((20, 2)), np.zeros((20, 1)))
    with pytest.raises(ValueError, match="same images"):
        align(np.zeros((200, 2)), np.zeros((201, 1)))
