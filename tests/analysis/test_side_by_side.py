"""Pairs of maps: what agrees in the maps, and what in their deviations, by closed forms."""

import numpy as np
import pytest

from cryojax_het.analysis.side_by_side import side_by_side

SIZE = 16


def maps(seed, count=3):
    return np.random.default_rng(seed).normal(size=(count, SIZE, SIZE, SIZE))


def compared(first, second, weight=(3.0, 1.0, 2.0), mask=None):
    mask = np.ones((SIZE,) * 3) if mask is None else mask
    return side_by_side(lambda: iter(first), lambda: iter(second), mask, np.asarray(weight))


def test_maps_agree_with_themselves_in_every_shell():
    found = compared(maps(0), maps(0))
    np.testing.assert_allclose(found.maps, 1)
    np.testing.assert_allclose(found.deviations, 1)
    np.testing.assert_allclose(found.correlation, 1)


def test_deviations_do_not_see_the_means():
    """Other means, thrice the motion: the maps disagree, their deviations are one motion."""
    moved, means = maps(0), maps(1, 2)
    found = compared(means[0] + moved, 20 * means[1] + 3 * moved)
    assert np.abs(found.maps[:, 4:]).max() < 0.5
    np.testing.assert_allclose(found.deviations, 1)
    opposite = compared(means[0] + moved, means[1] - moved)
    np.testing.assert_allclose(opposite.deviations, -1)
    np.testing.assert_allclose(opposite.correlation, -1)


def test_means_are_weighted_by_the_images_and_the_mask_leaves_out_the_rest():
    first, second, mask = maps(0), maps(1), np.zeros((SIZE,) * 3)
    mask[4:12, 4:12, 4:12] = 1
    found = compared(first, second, (3.0, 1.0, 0.0), mask)
    # The mean lies a quarter of the way from the first to the second.
    change = [mask * (many[0] - 0.75 * many[0] - 0.25 * many[1]) for many in (first, second)]
    expected = np.corrcoef(change[0][mask > 0], change[1][mask > 0])[0, 1]
    assert found.correlation[0] == pytest.approx(expected, abs=0.01)
    # With two maps that count, both deviate along one line.
    assert found.correlation[1] == pytest.approx(found.correlation[0])
    outside = second + 100 * (1 - mask) * maps(2)
    np.testing.assert_allclose(compared(first, outside, (3.0, 1.0, 0.0), mask).maps, found.maps)


def test_one_pair_has_no_deviation():
    found = compared(maps(0, 1), maps(0, 1), (5.0,))
    np.testing.assert_allclose(found.maps, 1)
    np.testing.assert_array_equal(found.deviations, 0)
    np.testing.assert_array_equal(found.correlation, 0)


def test_as_many_maps_by_either_way():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        compared(maps(0), maps(1, 2))
