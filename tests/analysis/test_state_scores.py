"""Mean maps of states against plain loops, and what shrinkage and noise do to them."""

import numpy as np
import pytest

from cryojax_het.analysis import state_scores
from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.map_scores import areas, image_curves
from cryojax_het.analysis.state_scores import state_curves

SIZE = 16


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(5, SIZE, SIZE, SIZE)).astype(np.float32)


def numbered(maps):
    return lambda number: maps[number]


@pytest.mark.parametrize("block", [1.0, 2.5e8])
def test_means_are_those_of_each_states_images(maps, monkeypatch, block):
    monkeypatch.setattr(state_scores, "_BLOCK", block)
    rng = np.random.default_rng(1)
    state, number = rng.choice([0, 1, 4], 40, p=[0.6, 0.3, 0.1]), rng.integers(5, size=40)
    found = rng.normal(size=maps.shape).astype(np.float32) + maps
    mask = rng.uniform(size=maps.shape[1:]).astype(np.float32)
    masks = {"all": np.ones_like(mask), "soft": mask}
    got = state_curves((numbered(found), number), (numbered(maps), state), masks)
    np.testing.assert_array_equal(got.states, [0, 1, 4])
    np.testing.assert_array_equal(got.images, [np.sum(state == s) for s in (0, 1, 4)])
    for row, one in enumerate((0, 1, 4)):
        mean = np.mean([found[n] for n in number[state == one]], axis=0)
        for name, weight in masks.items():
            expected = fourier_shell_correlation(mean * weight, maps[one] * weight)
            np.testing.assert_allclose(got.curves[name][row], expected, atol=1e-5)


def test_noise_of_images_averages_out_and_a_common_bias_does_not(maps):
    rng = np.random.default_rng(2)
    state = np.repeat(np.arange(2), 50)
    masks = {"all": np.ones_like(maps[0])}
    true = (numbered(maps), state)
    noisy = maps[state] + 2 * rng.normal(size=(100, *maps.shape[1:])).astype(np.float32)
    each = areas(image_curves((numbered(noisy), np.arange(100)), true, masks)["all"])
    mean = areas(state_curves((numbered(noisy), np.arange(100)), true, masks).curves["all"])
    # Noise of variance 4 on a signal of 1: a correlation of 1/sqrt(5), in the mean 1/sqrt(1.08).
    np.testing.assert_allclose(each.mean(), 5**-0.5, atol=0.01)
    np.testing.assert_allclose(mean, 1.08**-0.5, atol=0.01)
    shrunk = 0.5 * (maps[:2] + maps[1::-1])
    biased = state_curves((numbered(shrunk), state), true, masks)
    np.testing.assert_allclose(areas(biased.curves["all"]), 2**-0.5, atol=0.03)


def test_resolution_is_where_the_map_was_cut(maps):
    shells = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(shells[:, None, None] ** 2 + shells[:, None] ** 2 + shells**2)
    cut = np.where(np.rint(radius) <= 5, np.fft.fftn(maps[0]), 0)
    low = np.fft.ifftn(cut).real.astype(np.float32)
    alone = np.zeros(3, np.int64)
    got = state_curves(
        (numbered(low[None]), alone), (numbered(maps), alone), {"all": np.ones_like(low)}
    )
    # The curve falls from 1 in shell 5 to that of rounding, about 0, in shell 6.
    np.testing.assert_allclose(got.resolutions("all", 160.0), [160 / 5.5], rtol=0.01)


def test_images_without_a_map_are_refused(maps):
    one = {"all": np.ones_like(maps[0])}
    none, some = np.zeros(0, np.int64), np.array([0, -1])
    with pytest.raises(ValueError, match="Got 2, of which 1"):
        state_curves((numbered(maps), some), (numbered(maps), np.array([0, 0])), one)
    with pytest.raises(ValueError, match="must be images"):
        state_curves((numbered(maps), none), (numbered(maps), none), one)
