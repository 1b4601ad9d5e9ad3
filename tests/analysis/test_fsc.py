"""FSC against maps whose signal-to-noise ratio is known shell by shell."""

import numpy as np
import pytest

from cryojax_het.analysis.fsc import (
    crossing,
    expected_fsc_to_truth,
    fourier_shell_correlation,
    masked_fsc,
    randomise_phases,
    resolution,
    shell_frequencies,
    volume_shells,
    wiener_fsc,
)
from cryojax_het.analysis.mask import filter_shells, spherical_mask

SIZE = 32


def noise(rng):
    return rng.standard_normal((SIZE,) * 3)


def signal_with_ratio(rng, snr):
    """White noise filtered to have `snr[s]` times the power of unit white noise in shell s."""
    return filter_shells(noise(rng), np.sqrt(snr))


def test_against_direct_sums_over_the_whole_cube():
    rng = np.random.default_rng(1)
    a, b = noise(rng), noise(rng) + 0.5 * noise(rng)
    curve = fourier_shell_correlation(a, b + a)
    fa, fb = np.fft.fftn(a), np.fft.fftn(b + a)
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2))
    for s in range(SIZE // 2 + 1):
        inside = shell == s
        cross = np.sum(fa[inside] * fb[inside].conj()).real
        power = np.sum(np.abs(fa[inside]) ** 2) * np.sum(np.abs(fb[inside]) ** 2)
        assert curve[s] == pytest.approx(cross / np.sqrt(power), abs=1e-12)


def test_of_a_map_with_itself_negative_and_scaled():
    volume = noise(np.random.default_rng(2))
    np.testing.assert_allclose(fourier_shell_correlation(volume, 3 * volume), 1)
    np.testing.assert_allclose(fourier_shell_correlation(volume, -volume), -1)
    assert not fourier_shell_correlation(volume, np.zeros_like(volume)).any()


def test_two_halves_correlate_at_snr_over_one_plus_snr():
    snr = 30.0 / (1 + np.arange(SIZE // 2 + 1)) ** 1.5
    rng = np.random.default_rng(3)
    curves, wholes = [], []
    for _ in range(20):
        truth = signal_with_ratio(rng, snr)
        halves = truth + noise(rng), truth + noise(rng)
        curves.append(fourier_shell_correlation(*halves))
        wholes.append(fourier_shell_correlation(halves[0] + halves[1], truth))
    expected = snr / (1 + snr)
    # The mean over 20 draws of a correlation of N values is known to about 1 / sqrt(20 N).
    np.testing.assert_allclose(np.mean(curves, 0)[2:], expected[2:], atol=0.03)
    np.testing.assert_allclose(
        np.mean(wholes, 0)[2:], expected_fsc_to_truth(expected)[2:], atol=0.02
    )
    np.testing.assert_allclose(wiener_fsc(expected), 2 * snr / (1 + 2 * snr))


def test_one_seventh_between_halves_is_a_half_to_the_truth():
    assert expected_fsc_to_truth(np.array([1 / 7]))[0] == pytest.approx(0.5)
    assert wiener_fsc(np.array([-0.2, 1.0])).tolist() == [0.0, 1.0]


def test_crossing_is_interpolated_on_the_first_way_down():
    curve = np.array([0.2, 1.0, 0.8, 0.4, 0.6, 0.1])
    assert crossing(curve, 0.5) == pytest.approx(2.75)
    assert crossing(curve, 0.05) == 5
    assert crossing(np.array([1.0, 0.0, 0.0]), 0.5) == pytest.approx(0.5)
    assert resolution(curve, 0.5, 110.0) == pytest.approx(40.0)
    assert resolution(curve, 1.5, 110.0) == float("inf")
    np.testing.assert_allclose(shell_frequencies(8, 2.0), [0, 1 / 16, 2 / 16, 3 / 16, 1 / 4])


def test_a_ring_correlation_of_images():
    image = np.random.default_rng(4).standard_normal((SIZE, SIZE))
    np.testing.assert_allclose(fourier_shell_correlation(image, image), 1)


def test_randomised_phases_keep_amplitudes_and_the_shells_below():
    rng = np.random.default_rng(5)
    volume = noise(rng)
    transform = np.fft.rfftn(volume)
    changed = np.fft.rfftn(randomise_phases(transform, 7, rng))
    np.testing.assert_allclose(np.abs(changed), np.abs(transform), rtol=1e-9, atol=1e-9)
    kept = volume_shells(volume.shape) < 7
    np.testing.assert_allclose(changed[kept], transform[kept], atol=1e-9)
    curve = fourier_shell_correlation(volume, np.fft.irfftn(changed, volume.shape, (0, 1, 2)))
    assert np.abs(curve[8:]).max() < 0.2


def test_the_correction_removes_what_the_mask_correlates():
    """Pure noise outside the first shells: a tight mask makes it agree; corrected."""
    rng = np.random.default_rng(6)
    mask = spherical_mask(SIZE, 4.0, 1.0)
    snr = np.where(np.arange(SIZE // 2 + 1) < 5, 1e3, 0.0)
    curves = []
    for seed in range(12):
        truth = signal_with_ratio(rng, snr)
        curves.append(masked_fsc(truth + noise(rng), truth + noise(rng), mask, seed))
    assert {curve.randomised_from for curve in curves} == {5}
    corrected = np.mean([curve.corrected for curve in curves], 0)
    raw = np.mean([curve.masked for curve in curves], 0)
    assert abs(corrected[8:].mean()) < 0.04
    assert np.abs(raw[5:7]).max() > 0.3
    np.testing.assert_array_equal(curves[0].corrected[:7], curves[0].masked[:7])


def test_equal_halves_need_no_correction():
    volume = noise(np.random.default_rng(7))
    curve = masked_fsc(volume, volume, spherical_mask(SIZE, 10.0, 3.0))
    np.testing.assert_allclose(curve.corrected, 1)
    assert curve.randomised_from == SIZE // 2 + 1


def test_wrong_shapes_are_named():
    cube = np.zeros((8, 8, 8))
    with pytest.raises(ValueError, match=r"\(8, 8, 8\) and \(6, 6, 6\)"):
        fourier_shell_correlation(cube, np.zeros((6, 6, 6)))
    with pytest.raises(ValueError, match="even"):
        fourier_shell_correlation(np.zeros((7, 7)), np.zeros((7, 7)))
    with pytest.raises(ValueError, match="zero everywhere"):
        masked_fsc(cube + 1, cube + 1, cube)
