"""Coverage and ranks of posteriors that are exact, too narrow or too wide by construction."""

import numpy as np
import pytest
from scipy.stats import chi2

from cryojax_het.analysis.calibration import (
    align,
    gaussian_coverage,
    rank_histogram,
    sample_coverage,
    told_directions,
)

SIZE = 4000


def posteriors(seed=0, scale=1.0):
    """Exact Gaussian posteriors of a truth drawn from N(0, 1), seen through random noise."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((SIZE, 2))
    factor = rng.standard_normal((SIZE, 2, 2))
    noise = factor @ factor.transpose(0, 2, 1) + 0.2 * np.eye(2)
    seen = truth + np.einsum(
        "nij,nj->ni", np.linalg.cholesky(noise), rng.standard_normal((SIZE, 2))
    )
    covariance = np.linalg.inv(np.eye(2) + np.linalg.inv(noise))
    mean = np.einsum("nij,njk,nk->ni", covariance, np.linalg.inv(noise), seen)
    return truth, mean, scale**2 * covariance, rng


def draw(mean, covariance, count, rng):
    noise = rng.standard_normal((SIZE, count, 2))
    return mean[:, None] + noise @ np.linalg.cholesky(covariance).transpose(0, 2, 1)


def test_exact_gaussian_posteriors_cover_what_they_say():
    truth, mean, covariance, _ = posteriors()
    for coverage, level in zip(gaussian_coverage(mean, covariance, truth), (0.5, 0.9), strict=True):
        assert coverage.level == level
        assert coverage.error == pytest.approx(np.sqrt(level * (1 - level) / SIZE))
        assert abs(coverage.observed - level) < 4 * coverage.error


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_wrong_widths_cover_what_chi_squared_says(scale):
    truth, mean, covariance, rng = posteriors(1, scale)
    for coverage in gaussian_coverage(mean, covariance, truth):
        expected = chi2.cdf(scale**2 * chi2.ppf(coverage.level, 2), 2)
        assert abs(coverage.observed - expected) < 4 * 0.5 / np.sqrt(SIZE)
    samples = draw(mean, covariance, 30, rng)
    for coverage in sample_coverage(samples, truth):
        assert np.sign(coverage.observed - coverage.level) == np.sign(scale - 1)
        assert abs(coverage.observed - coverage.level) > 5 * coverage.error
    assert rank_histogram(samples[..., 0], truth[:, 0]).p_value < 1e-6


@pytest.mark.parametrize("count", [3, 9, 40])
def test_exact_samples_cover_what_they_say_however_few(count):
    truth, mean, covariance, rng = posteriors(2)
    samples = draw(mean, covariance, count, rng)
    for coverage in sample_coverage(samples, truth):
        assert abs(coverage.observed - coverage.level) < 4 * coverage.error
    ranks = rank_histogram(samples[..., 1], truth[:, 1])
    assert ranks.p_value > 1e-3
    assert ranks.counts.sum() == SIZE
    assert ranks.expected.sum() == pytest.approx(SIZE)


def test_p_values_of_calibrated_ranks_are_uniform():
    rng = np.random.default_rng(3)
    # 13 ranks in 5 bins: bins of unequal size.
    values = np.array(
        [
            rank_histogram(rng.standard_normal((400, 12)), rng.standard_normal(400), 5).p_value
            for _ in range(400)
        ]
    )
    assert abs(np.mean(values) - 0.5) < 4 * np.sqrt(1 / 12 / 400)
    assert abs(np.mean(values < 0.1) - 0.1) < 4 * np.sqrt(0.09 / 400)


def test_ranks_of_a_truth_among_samples_by_hand():
    samples = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    ranks = rank_histogram(samples, np.array([0.0, 5.5, 10.0]), bins=4)
    np.testing.assert_array_equal(ranks.counts, [1, 0, 1, 1])
    np.testing.assert_allclose(ranks.expected, 0.75)


def test_ranks_among_ties_are_drawn_evenly():
    rng = np.random.default_rng(4)
    samples, truth = rng.integers(0, 3, (6000, 5)) * 1.0, rng.integers(0, 3, 6000) * 1.0
    assert rank_histogram(samples, truth).p_value > 1e-3
    everywhere = np.ones((SIZE, 4, 1))
    for coverage in sample_coverage(everywhere, np.ones((SIZE, 1))):
        assert coverage.observed == pytest.approx(coverage.level)


def test_coverage_is_the_same_in_any_affine_gauge():
    truth, mean, covariance, rng = posteriors(5)
    matrix, offset = rng.standard_normal((2, 2)), np.array([3.0, -2.0])
    before = gaussian_coverage(mean, covariance, truth)
    after = gaussian_coverage(
        mean @ matrix.T + offset, matrix @ covariance @ matrix.T, truth @ matrix.T + offset
    )
    assert before == after
    samples = draw(mean, covariance, 10, rng)
    moved = sample_coverage(samples @ matrix.T + offset, truth @ matrix.T + offset)
    for one, other in zip(sample_coverage(samples, truth), moved, strict=True):
        assert one.observed == pytest.approx(other.observed, abs=1e-3)


def test_alignment_brings_posteriors_back_and_keeps_their_coverage():
    truth, mean, covariance, rng = posteriors(6)
    gauge = rng.standard_normal((3, 2))
    latent = mean @ gauge.T + 7
    found = align(latent, truth)
    design = np.column_stack([latent, np.ones(SIZE)])
    expected = design @ np.linalg.lstsq(design, truth, rcond=None)[0]
    np.testing.assert_allclose(found.points(latent), expected, atol=1e-9)
    np.testing.assert_allclose(found.points(latent), mean, atol=0.2)
    carried = found.covariances(gauge @ covariance @ gauge.T)
    for coverage in gaussian_coverage(found.points(latent), carried, truth):
        assert abs(coverage.observed - coverage.level) < 5 * coverage.error
    # Widths that are no errors stay wrong: no alignment forgives them.
    narrow = found.covariances(gauge @ covariance @ gauge.T / 4)
    assert gaussian_coverage(found.points(latent), narrow, truth)[1].observed < 0.8
    samples = draw(mean, covariance, 5, rng)
    assert found.points(samples @ gauge.T + 7).shape == (SIZE, 5, 2)


def test_coordinates_that_no_image_tells_of_add_no_width():
    truth, mean, covariance, rng = posteriors(8)
    rest = 1e-3 * rng.standard_normal((SIZE, 3))
    latent = np.concatenate([mean, rest], axis=1)
    wide = np.tile(np.eye(5), (SIZE, 1, 1))
    wide[:, :2, :2] = covariance
    found = align(latent, truth)
    spoiled = gaussian_coverage(found.points(latent), found.covariances(wide), truth)
    assert spoiled[0].observed > 0.8  # what it would be with all five
    gauge = rng.standard_normal((5, 5))
    latent, wide = latent @ gauge.T + 3, gauge @ wide @ gauge.T
    told = told_directions(latent, wide)
    assert told.shape == (5, 2)
    found = align(latent @ told, truth)
    carried = found.covariances(told.T @ wide @ told)
    for coverage in gaussian_coverage(found.points(latent @ told), carried, truth):
        assert abs(coverage.observed - coverage.level) < 5 * coverage.error
    # Of no width at all, and constant: nothing is lost, and nothing is made of it.
    assert told_directions(mean, 0 * covariance).shape == (2, 2)
    assert told_directions(0 * mean, covariance).shape == (2, 0)


def test_bad_posteriors_are_named():
    truth, mean, covariance, _ = posteriors(7)
    covariance[5] = -np.eye(2)
    covariance[9, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"2 of 4000 covariances .* row 5"):
        gaussian_coverage(mean, covariance, truth)
    with pytest.raises(ValueError, match=r"2 dimensions, the truth 1"):
        gaussian_coverage(mean, covariance, truth[:, :1])
    with pytest.raises(ValueError, match=r"more samples than that. Got 2 of 2"):
        sample_coverage(np.zeros((SIZE, 2, 2)), truth)
