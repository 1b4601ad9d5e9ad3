"""The choice of bandwidths against known truths."""

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.inference.regression.bands import band, centres, running_mean, voxels, widths
from cryojax_het.inference.regression.choice import _error, best_bandwidths, share

SIZE = 20


def rfftn(maps):
    return jnp.fft.rfftn(jnp.asarray(maps, jnp.float32), axes=(-3, -2, -1))


def blob(centre, width=2.0):
    squared = sum((np.indices((SIZE,) * 3)[k] - centre[k]) ** 2 for k in range(3))
    return np.exp(-0.5 * squared / width**2)


def test_the_error_is_that_against_the_truth_up_to_a_constant():
    """Over both signs of each half's noise, its products cancel: the mean is the expectation."""
    rng = np.random.default_rng(0)
    truth, bias = rng.normal(size=(2, 6, 6, 6))
    sharp, noise = rng.normal(size=(2, 2, 6, 6, 6))
    errors, squares = [], []
    for signs in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        sign = np.array(signs, float)[:, None, None, None]
        known, found = truth + sign * sharp, truth + bias + sign * noise
        errors.append(_error(jnp.asarray(known), jnp.asarray(found)))
        squares.append((found.mean(axis=0) - truth) ** 2)
    expected = np.mean(squares, axis=0) - truth**2
    np.testing.assert_allclose(np.mean(errors, axis=0), expected, atol=1e-4)


def test_with_the_truth_as_reference_the_least_squared_error_is_chosen():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(SIZE,) * 3)
    ramp = np.linspace(0, 2, SIZE)[:, None, None]
    bias, noise = rng.normal(size=(4, SIZE, SIZE, SIZE)), rng.normal(size=(4, 2, SIZE, SIZE, SIZE))
    spread = np.array([1.5, 1.0, 0.6, 0.4])[:, None, None, None, None]
    shift = (np.array([0.0, 0.2, 0.5, 1.0])[:, None, None, None] * ramp * bias)[:, None]
    maps = truth + shift + spread * noise
    pick = np.asarray(jax.jit(best_bandwidths)(rfftn(np.stack([truth, truth])), rfftn(maps)))
    assert pick.shape == (len(centres(SIZE)), SIZE, SIZE, SIZE)
    for index, width in enumerate(widths(SIZE)):
        kept = np.asarray(band(SIZE, jnp.asarray(index)))
        apart = np.fft.irfftn(
            np.fft.rfftn(maps.mean(axis=1) - truth, axes=(1, 2, 3)) * kept,
            s=truth.shape,
            axes=(1, 2, 3),
        )
        errors = np.stack([running_mean(jnp.asarray(x**2), jnp.asarray(width)) for x in apart])
        chosen = np.take_along_axis(errors, pick[index][None], axis=0)[0]
        # Of two that are alike up to rounding, either may be chosen.
        np.testing.assert_allclose(chosen, errors.min(axis=0), rtol=1e-3)


def test_where_nothing_varies_all_images_are_taken():
    rng = np.random.default_rng(2)
    still = rfftn(blob((10, 10, 10)) + 0.1 * rng.normal(size=(2, SIZE, SIZE, SIZE)))
    same = jnp.broadcast_to(still, (5, *still.shape))
    assert np.all(np.asarray(best_bandwidths(still, same)) == 4)


def test_small_bandwidths_only_where_the_molecule_moves():
    """A rigid blob, and one that the maps of large bandwidths average over its positions."""
    rng = np.random.default_rng(3)
    rigid, moving = (6, 10, 10), (15, 10, 10)
    average = np.mean([blob((15, y, 10)) for y in np.linspace(5, 15, 11)], axis=0)
    maps = []
    for blurred, noise in ((0.0, 0.3), (0.05, 0.15), (0.4, 0.08), (1.0, 0.04)):
        mean = blob(rigid) + (1 - blurred) * blob(moving) + blurred * average
        maps.append(mean + noise * rng.normal(size=(2, SIZE, SIZE, SIZE)))
    found = rfftn(np.stack(maps))
    pick = np.asarray(jax.jit(best_bandwidths)(found[0], found))
    # Where it moves, few images; the first band's window of 4 voxels reaches to the rigid blob too.
    assert np.all(pick[1][14:17, 9:12, 9:12] <= 1)
    assert np.all(pick[2][14:17, 9:12, 9:12] <= 2)
    assert np.all(pick[2][5:8, 9:12, 9:12] >= 2)
    # Bands of noise alone take all images, but for chance: the products with `V_0` are noisy.
    assert np.mean(pick[-1] == 3) > 0.75
    assert np.mean(pick[-1] >= 2) > 0.95
    # The blend is nearer to the truth than any single bandwidth.
    truth = blob(rigid) + blob(moving)
    blend = sum(share(found[h].mean(axis=0), jnp.asarray(pick), jnp.asarray(h)) for h in range(4))
    singles = [np.sum((pair.mean(axis=0) - truth) ** 2) for pair in maps]
    assert np.sum((np.asarray(blend) - truth) ** 2) < 0.8 * min(singles)


def test_shares_sum_to_the_map():
    rng = np.random.default_rng(4)
    volume = rng.normal(size=(SIZE,) * 3)
    pick = jnp.asarray(rng.integers(0, 5, size=(len(centres(SIZE)), SIZE, SIZE, SIZE)), jnp.int32)
    shares = [np.asarray(share(rfftn(volume), pick, jnp.asarray(h))) for h in range(5)]
    np.testing.assert_allclose(np.sum(shares, axis=0), volume, atol=1e-5)
    alone = jnp.full_like(pick, 2)
    np.testing.assert_allclose(share(rfftn(volume), alone, jnp.asarray(2)), volume, atol=1e-5)
    np.testing.assert_allclose(share(rfftn(volume), alone, jnp.asarray(1)), 0, atol=1e-5)


def test_a_band_is_taken_from_the_bandwidth_picked_for_it():
    volume = rfftn(np.random.default_rng(5).normal(size=(SIZE,) * 3))
    pick = jnp.zeros((len(centres(SIZE)), SIZE, SIZE, SIZE), jnp.int32).at[1].set(1)
    found = share(volume, pick, jnp.asarray(1))
    expected = voxels(volume * band(SIZE, jnp.asarray(1)))
    np.testing.assert_allclose(found, expected, atol=1e-5)
