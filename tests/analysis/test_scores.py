"""Scores against the truth, from maps with a known signal-to-noise ratio."""

import numpy as np
import pytest

from cryojax_het.analysis.mask import filter_shells, spherical_mask
from cryojax_het.analysis.scores import correlation, score_against_truth

SIZE = 32


def test_resolution_is_where_the_signal_has_a_third_of_the_noise():
    rng = np.random.default_rng(0)
    shells = np.arange(SIZE // 2 + 1)
    snr = np.exp((10 - shells) / 1.5) / 3
    truth = filter_shells(rng.standard_normal((SIZE,) * 3), np.sqrt(snr))
    score = score_against_truth(truth + rng.standard_normal(truth.shape), truth, 1.5)
    assert score.resolution == pytest.approx(SIZE * 1.5 / 10, rel=0.04)
    np.testing.assert_allclose(score.fsc[3:], np.sqrt(snr / (1 + snr))[3:], atol=0.08)


def test_the_truth_scores_one_in_any_scale_and_offset():
    truth = np.random.default_rng(1).standard_normal((SIZE,) * 3)
    score = score_against_truth(2 * truth + 5, truth, 2.0)
    assert score.correlation == pytest.approx(1)
    assert score.resolution == pytest.approx(4.0)


def test_a_mask_hides_what_lies_outside():
    truth = np.random.default_rng(2).standard_normal((SIZE,) * 3)
    mask = spherical_mask(SIZE, 8.0, 0.0)
    spoiled = np.where(mask > 0, truth, 7.0)
    assert score_against_truth(spoiled, truth, 1.0, mask).correlation == pytest.approx(1)
    assert correlation(truth, np.zeros_like(truth), mask) == 0
