"""Spread of latents and maps against sums over pairs, and with noise of known power."""

import numpy as np
import pytest

from cryojax_het.analysis.mask import filter_shells, spherical_mask
from cryojax_het.analysis.spread import false_heterogeneity, latent_spread, map_spread

SIZE = 16
MASK = spherical_mask(SIZE, 5.0, 2.0)


def noisy(count, scale, seed):
    rng = np.random.default_rng(seed)
    molecule = np.random.default_rng(99).standard_normal((SIZE, SIZE, SIZE))
    return molecule + scale * rng.standard_normal((count, SIZE, SIZE, SIZE))


def test_estimates_that_noise_scatters_have_ratio_one():
    rng = np.random.default_rng(0)
    covariance = np.tile(np.diag([1.0, 4.0]), (3000, 1, 1))
    mean = rng.standard_normal((3000, 2)) * [1, 2]
    spread = latent_spread(mean, covariance)
    assert spread.total == pytest.approx(np.trace(np.cov(mean.T)))
    assert spread.posterior == pytest.approx(5)
    assert spread.ratio == pytest.approx(1, abs=0.1)
    assert latent_spread(3 * mean + 1, 9 * covariance).ratio == pytest.approx(spread.ratio)
    assert latent_spread(mean, 0 * covariance).ratio == np.inf
    with pytest.raises(ValueError, match="Got 3000 and 10"):
        latent_spread(mean, covariance[:10])


def test_map_spread_is_the_sum_over_pairs():
    maps, band = noisy(5, 0.3, 1), np.array([0, 0, 1, 1, 1, 1, 0, 0, 0.0])
    kept = [filter_shells(volume, band) * MASK for volume in maps]
    pairs = [np.sum((kept[i] - kept[j]) ** 2) for i in range(5) for j in range(i)]
    expected = np.mean(pairs) / np.sum(np.mean(kept, axis=0) ** 2)
    assert map_spread(maps, MASK, (2, 5)) == pytest.approx(expected)
    assert map_spread(-7 * maps, MASK, (2, 5)) == pytest.approx(expected)
    assert map_spread(maps[[3, 0, 4, 2, 1]], MASK, (2, 5)) == pytest.approx(expected)


def test_noise_alone_has_ratio_one_and_more_noise_its_power():
    noise = noisy(40, 0.1, 2)
    assert false_heterogeneity(noisy(40, 0.1, 3), noise, MASK, (1, 8)) == pytest.approx(1, rel=0.1)
    assert false_heterogeneity(noisy(40, 0.2, 4), noise, MASK, (1, 8)) == pytest.approx(4, rel=0.1)
    same = np.repeat(noise[:1], 3, axis=0)
    assert false_heterogeneity(same, noise, MASK, (1, 8)) == 0
    assert false_heterogeneity(noise, same, MASK, (1, 8)) == np.inf


def test_small_differences_of_large_maps_survive():
    maps = (1e4 * noisy(1, 0, 5) + 1e-3 * noisy(4, 1.0, 6)).astype(np.float64)
    reference = 1e-3 * noisy(4, 1.0, 6)
    power = map_spread(maps, MASK, (1, 8)) * 1e8
    centred = reference - reference.mean(axis=0) + noisy(1, 0, 5)
    assert power == pytest.approx(map_spread(centred, MASK, (1, 8)), rel=1e-3)


def test_nothing_to_compare_is_an_error():
    with pytest.raises(ValueError, match="two maps at least"):
        map_spread(noisy(1, 1, 0), MASK, (1, 8))
    with pytest.raises(ValueError, match="no power in shells"):
        map_spread(np.zeros((3, SIZE, SIZE, SIZE)), MASK, (1, 8))
