"""Latents that are one another in another gauge, that share a part, that share nothing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.analysis.agreement import compare_latents


def test_another_gauge_agrees_in_full():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((600, 3))
    same = compare_latents(first, -2 * Rotation.random(rng=0).apply(first) + 4)
    assert same.overlap.value == 1
    assert same.distance.value == pytest.approx(1)
    assert same.linear.value == pytest.approx(1)
    np.testing.assert_allclose(same.canonical, 1)
    # Points in three dimensions are sparse: the mean over neighbours blurs even a perfect latent.
    assert same.first_from_second.value > 0.85


def test_no_relation_is_chance():
    rng = np.random.default_rng(1)
    none = compare_latents(rng.standard_normal((800, 2)), rng.standard_normal((800, 4)))
    assert none.overlap.value == pytest.approx(none.overlap.chance, rel=0.15)
    assert abs(none.distance.value) < 0.02
    assert none.linear.value == pytest.approx(none.linear.chance, abs=0.02)
    assert none.first_from_second.value < 0.02
    assert none.second_from_first.value < 0.02


def test_one_that_has_more_to_tell_explains_the_other_and_not_the_reverse():
    rng = np.random.default_rng(2)
    first = rng.uniform(-1, 1, (1500, 2))
    found = compare_latents(first, first[:, :1] ** 3 + 2)
    assert found.second_from_first.value > 0.95
    assert found.first_from_second.value == pytest.approx(0.5, abs=0.05)
    assert found.linear.value == found.canonical[0] ** 2
    folded = compare_latents(first[:, :1], first[:, :1] ** 2)
    assert folded.linear.value < 0.05
    assert folded.distance.value > 0.1


def test_rows_that_disagree_are_an_error():
    with pytest.raises(ValueError, match=r"Got 50 and 49"):
        compare_latents(np.zeros((50, 1)), np.zeros((49, 1)))
