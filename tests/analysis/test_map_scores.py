"""Areas, gaps and drawn images against closed forms and plain loops."""

import numpy as np
import pytest

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.map_scores import (
    areas,
    draw_images,
    gap_closed,
    image_curves,
    summarise,
)

SIZE = 16


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(4, SIZE, SIZE, SIZE)).astype(np.float32)


def test_curves_are_those_of_each_image(maps):
    rng = np.random.default_rng(1)
    state, number = rng.integers(4, size=30), rng.integers(3, size=30)
    found = np.roll(maps, 1, axis=0)
    mask = rng.uniform(size=maps.shape[1:]).astype(np.float32)
    masks = {"all": np.ones_like(mask), "soft": mask}
    curves = image_curves((lambda i: found[i], number), (lambda s: maps[s], state), masks)
    assert curves.keys() == masks.keys()
    for row in range(30):
        for name, weight in masks.items():
            expected = fourier_shell_correlation(
                found[number[row]] * weight, maps[state[row]] * weight
            )
            np.testing.assert_allclose(curves[name][row], expected, atol=1e-12)


def test_each_pair_is_read_once(maps):
    reads = []

    def read(number):
        reads.append(number)
        return maps[number]

    image_curves(
        (read, np.array([0, 1, 0, 1, 0])),
        (lambda s: maps[s], np.array([2, 2, 2, 2, 2])),
        {"all": np.ones_like(maps[0])},
    )
    assert reads == [0, 1]


def test_perfect_maps_have_area_one_and_noise_none(maps):
    state = np.arange(4)
    own = (lambda s: maps[s], state)
    masks = {"all": np.ones_like(maps[0])}
    np.testing.assert_allclose(areas(image_curves(own, own, masks)["all"]), 1, atol=1e-6)
    other = (lambda s: maps[s], state[::-1].copy())
    assert np.abs(areas(image_curves(other, own, masks)["all"])).max() < 0.2


def test_summary_of_known_curves():
    shells = np.arange(9.0)
    curves = np.stack([np.clip(1.2 - slope * shells, 0, 1) for slope in (0.1, 0.15, 0.2)])
    found = summarise(curves, 160.0)
    assert found.median == pytest.approx(np.clip(1.2 - 0.15 * shells, 0, 1)[1:8].mean())
    assert found.resolution == pytest.approx(160 / (0.7 / 0.15))
    assert found.quartiles[0] < found.median < found.quartiles[1]
    assert found.images == 3
    # Shell 0 counts as 1 whatever it has: half a shell is as poor as it gets.
    assert summarise(0 * curves, 160.0).resolution == 160 / 0.5


def test_gap_is_a_fraction():
    assert gap_closed(0.3, 0.3, 0.7) == 0
    assert gap_closed(0.7, 0.3, 0.7) == 1
    assert gap_closed(0.4, 0.3, 0.7) == pytest.approx(0.25)
    assert np.isnan(gap_closed(0.4, 0.5, 0.5))
    assert np.isnan(gap_closed(0.4, 0.5, 0.5 + 1e-7))


def test_drawn_images_follow_the_populations():
    rng = np.random.default_rng(0)
    state = rng.choice(5, 4000, p=[0.5, 0.25, 0.15, 0.08, 0.02])
    rows = draw_images(state, np.arange(4000), 200, 0)
    assert len(np.unique(rows)) == 200
    np.testing.assert_allclose(np.bincount(state[rows]), 200 * np.bincount(state) / 4000, atol=1.01)
    # Only candidates; all of them where they are few; another seed draws others.
    few = np.array([7, 3, 11])
    np.testing.assert_array_equal(draw_images(state, few, 200, 0), [3, 7, 11])
    even = draw_images(state, np.arange(0, 4000, 2), 100, 0)
    assert np.all(even % 2 == 0)
    assert not np.array_equal(rows, draw_images(state, np.arange(4000), 200, 1))
