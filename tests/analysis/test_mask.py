"""Masks against balls whose radius is known."""

import numpy as np
import pytest

from cryojax_het.analysis.mask import (
    MaskOptions,
    automatic_mask,
    filter_shells,
    low_pass_filter,
    spherical_mask,
)

SIZE, PIXEL = 48, 2.0


def radius_from(centre):
    axis = np.arange(SIZE)
    grid = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)))


def test_sphere_is_one_inside_zero_outside_and_half_in_the_middle_of_the_edge():
    mask = spherical_mask(SIZE, 10.0, 4.0)
    radius = radius_from((24, 24, 24))
    assert (mask[radius <= 10] == 1).all()
    assert (mask[radius >= 14] == 0).all()
    assert mask[24, 24, 36] == pytest.approx(0.5)
    assert set(np.unique(spherical_mask(8, 2.0, 0.0))) == {0.0, 1.0}


def test_automatic_mask_covers_the_ball_and_little_more_under_noise():
    rng = np.random.default_rng(0)
    radius = radius_from((20, 26, 24))
    ball = np.where(radius < 8, 1.0, 0.0)
    mask = automatic_mask(ball + 0.3 * rng.standard_normal(ball.shape), PIXEL)
    options = MaskOptions()
    reach = (options.extend + options.edge + options.low_pass / 2) / PIXEL
    assert mask[ball > 0].min() > 0.95
    assert mask[radius > 8 + reach + 1].max() == 0
    assert mask.min() >= 0
    assert mask.max() == 1


def test_a_given_threshold_and_no_edge():
    radius = radius_from((24, 24, 24))
    smooth = np.exp(-(radius**2) / 2 / 8**2)
    options = MaskOptions(low_pass=8.0, threshold=0.5, extend=0.0, edge=0.0)
    mask = automatic_mask(smooth, PIXEL, options)
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert (mask == 1).sum() == pytest.approx(
        4 / 3 * np.pi * (8 * np.sqrt(2 * np.log(2))) ** 3, rel=0.05
    )


def test_nothing_above_the_threshold_is_an_error():
    with pytest.raises(ValueError, match=r"threshold 2\b.*maximum"):
        automatic_mask(spherical_mask(SIZE, 10.0, 2.0), PIXEL, MaskOptions(threshold=2.0))
    with pytest.raises(ValueError, match="radius"):
        spherical_mask(SIZE, 0.0, 2.0)


def test_low_pass_keeps_a_slow_wave_and_removes_a_fast_one():
    z = np.arange(SIZE)[:, None, None] * np.ones((SIZE, SIZE, SIZE))
    slow, fast = np.cos(2 * np.pi * 3 * z / SIZE), np.cos(2 * np.pi * 12 * z / SIZE)
    filtered = low_pass_filter(slow + fast, PIXEL, SIZE * PIXEL / 7)
    np.testing.assert_allclose(filtered, slow, atol=1e-9)


def test_shell_weights_scale_one_wave():
    z = np.arange(SIZE)[:, None, None] * np.ones((SIZE, SIZE, SIZE))
    wave = np.cos(2 * np.pi * 5 * z / SIZE)
    weight = np.arange(SIZE // 2 + 1) / 10
    np.testing.assert_allclose(filter_shells(wave, weight), 0.5 * wave, atol=1e-9)
    with pytest.raises(ValueError, match="25 shells"):
        filter_shells(wave, weight[:-1])
