"""Areas against curves taken one by one; matchings by enumeration."""

from itertools import permutations

import numpy as np
import pytest

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.map_agreement import (
    deviations,
    fsc_areas,
    fsc_curves,
    paired_agreement,
    set_agreement,
)
from cryojax_het.analysis.mask import spherical_mask

SIZE = 16
MASK = spherical_mask(SIZE, 5.0, 2.0)


def maps(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, SIZE, SIZE, SIZE))


@pytest.mark.parametrize("last", [5, 8])
def test_areas_are_the_mean_of_each_curve(last):
    first, second = maps(3), maps(2, 1) + maps(1)[0]
    areas = fsc_areas(iter(first), second, MASK, last)
    for i in range(3):
        for j in range(2):
            curve = fourier_shell_correlation(first[i] * MASK, second[j] * MASK)
            assert areas[i, j] == pytest.approx(curve[1 : last + 1].mean())
    curves = fsc_curves(first[:2], second, MASK)
    np.testing.assert_allclose(curves[:, 1 : last + 1].mean(axis=1), np.diag(areas), atol=1e-12)


def test_scale_and_sign_of_maps():
    one = maps(1)
    areas = fsc_areas(one.astype(np.float32), np.concatenate([3 * one, -one, 0 * one]), MASK, 6)
    np.testing.assert_allclose(areas, [[1, -1, 0]], atol=1e-6)


def test_the_mean_makes_maps_agree_and_deviations_do_not():
    mean, first, second = 5 * maps(1)[0], maps(6, 1), maps(6, 2)
    weight = np.arange(1.0, 7.0)
    assert paired_agreement(fsc_areas(mean + first, mean + second, MASK, 8)).value > 0.9
    centred = deviations(mean + first, weight), deviations(mean + second, weight)
    np.testing.assert_allclose(np.average(centred[0], axis=0, weights=weight), 0, atol=1e-12)
    assert abs(paired_agreement(fsc_areas(*centred, MASK, 8)).value) < 0.2


def test_pairs_against_shuffled_partners():
    common = maps(4)
    areas = fsc_areas(common + maps(4, 1), common + maps(4, 2), MASK, 8)
    score = paired_agreement(areas)
    assert score.value == pytest.approx(np.mean([areas[i, i] for i in range(4)]))
    shuffled = [
        np.mean([areas[i, j] for i, j in enumerate(order)])
        for order in permutations(range(4))
        if all(i != j for i, j in enumerate(order))
    ]
    assert score.chance == pytest.approx(np.mean(shuffled))
    assert score.value > 0.3 > score.chance
    with pytest.raises(ValueError, match="Two pairs of maps"):
        paired_agreement(areas[:1, :1])


def test_sets_match_whatever_their_order():
    common, equal = maps(5), np.full(5, 0.2)
    order = np.random.default_rng(0).permutation(5)
    areas = fsc_areas(common, (common + 0.5 * maps(5, 1))[order], MASK, 8)
    best = max(
        np.mean([areas[i, j] for i, j in enumerate(order)]) for order in permutations(range(5))
    )
    score = set_agreement(areas, equal, equal)
    assert score.value == pytest.approx(best)
    assert score.chance == pytest.approx(areas.mean())
    assert set_agreement(fsc_areas(common, common[order], MASK, 8), equal, equal).value == (
        pytest.approx(1)
    )


def test_a_map_is_split_among_those_that_share_its_population():
    common = maps(2)
    areas = fsc_areas(common, common[[0, 0, 1]], MASK, 8)
    score = set_agreement(areas, np.array([0.6, 0.4]), np.array([0.1, 0.5, 0.4]))
    assert score.value == pytest.approx(1)
    assert score.chance == pytest.approx(0.52 + 0.48 * areas[1, 0])
    wrong = set_agreement(areas, np.array([0.3, 0.7]), np.array([0.1, 0.5, 0.4]))
    assert wrong.value == pytest.approx(0.7 + 0.3 * areas[1, 0])


def test_shells_and_sizes_that_do_not_fit_are_errors():
    with pytest.raises(ValueError, match=r"from 1 to 8. Got 9"):
        fsc_areas(maps(1), maps(1), MASK, 9)
    with pytest.raises(ValueError, match=r"The mask is \(16, 16, 16\), a map \(8, 8, 8\)"):
        fsc_areas([np.zeros((8, 8, 8))], maps(1), MASK, 4)
