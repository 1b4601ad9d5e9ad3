"""Interpolation kernels against the objective they claim to minimise, integrated afresh."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from cryojax_het.volumes.kernel import Kernel, cubic, quadratic

KERNELS = pytest.mark.parametrize(
    ("kernel", "tolerance"), [(quadratic(), 1e-2), (cubic(), 2e-3)], ids=["quadratic", "cubic"]
)
OFFSETS = (np.arange(200) + 0.5) / 200 - 0.5
RADII = np.linspace(-0.42, 0.42, 85)


def response(kernel, weights, theta):
    """What the taps make of `exp(-iθq)` at offset `u`, over its true value: `[θ, u]`, and slope."""
    centre = (kernel.width - 1) / 2
    value = np.zeros((len(theta), len(OFFSETS)), complex)
    slope = np.zeros_like(value)
    for tap, row in enumerate(weights):
        polynomial = np.polynomial.Polynomial(row)
        wave = np.exp(-1j * theta[:, None] * (tap - centre - OFFSETS))
        value += wave * polynomial(OFFSETS)
        slope += wave * (polynomial.deriv()(OFFSETS) + 1j * theta[:, None] * polynomial(OFFSETS))
    return value, slope


def objective(kernel, weights):
    """The integral of the module's docstring, the correction being the best for `weights`."""
    value, slope = response(kernel, weights, 2 * np.pi * RADII / kernel.padding)
    power = (np.abs(value) ** 2 + kernel.smoothing * np.abs(slope) ** 2).mean(axis=1)
    correction = value.real.mean(axis=1) / power
    misfit = np.abs(correction[:, None] * value - 1) ** 2
    misfit = misfit + kernel.smoothing * np.abs(correction[:, None] * slope) ** 2
    return ((1 - (RADII / 0.42) ** 2) * misfit.mean(axis=1)).sum()


@KERNELS
def test_a_corrected_wave_is_reproduced(kernel, tolerance):
    theta = 2 * np.pi * RADII / kernel.padding
    value, _ = response(kernel, kernel.weights(), theta)
    error = np.abs(kernel.correction(theta)[:, None] * value - 1)
    profile = 1 - (RADII / 0.42) ** 2
    root_mean_square = np.sqrt((profile * (error**2).mean(axis=1)).sum() / profile.sum())
    # Per axis; three axes add up to the error of a slice.
    assert root_mean_square < tolerance / np.sqrt(3)
    assert error.max() < 6 * tolerance


@KERNELS
def test_the_slope_of_a_corrected_wave_is_reproduced(kernel, tolerance):
    theta = 2 * np.pi * RADII / kernel.padding
    _, slope = response(kernel, kernel.weights(), theta)
    error = np.abs(kernel.correction(theta)[:, None] * slope)  # the true slope is |θ|, up to 2
    profile = 1 - (RADII / 0.42) ** 2
    assert np.sqrt((profile * (error**2).mean(axis=1)).sum() / profile.sum()) < 6 * tolerance


@KERNELS
def test_the_correction_minimises_the_misfit(kernel, tolerance):
    del tolerance
    for theta in (0.0, 0.3, 1.1, 2.0):
        value, slope = response(kernel, kernel.weights(), np.array([theta]))
        misfit = lambda c, g=value, dg=slope: (
            np.mean(np.abs(c * g - 1) ** 2) + kernel.smoothing * np.mean(np.abs(c * dg) ** 2)
        )
        best = minimize_scalar(misfit, bracket=(0.5, 2.0), tol=1e-10).x
        assert kernel.correction(np.array([theta]))[0] == pytest.approx(best, rel=2e-5)


@KERNELS
def test_the_weights_minimise_the_misfit(kernel, tolerance):
    del tolerance
    weights = kernel.weights()
    least = objective(kernel, weights)
    rng = np.random.default_rng(0)
    for _ in range(40):
        change = rng.normal(size=weights.shape) * 3e-3
        either = [objective(kernel, weights + change), objective(kernel, weights - change)]
        assert min(either) > least


@KERNELS
def test_taps_mirror(kernel, tolerance):
    del tolerance
    signs = (-1.0) ** np.arange(kernel.degree + 1)
    np.testing.assert_allclose(kernel.weights()[::-1] * signs, kernel.weights(), atol=1e-9)


@pytest.mark.parametrize("size", [16, 30, 64, 66])
@pytest.mark.parametrize("padding", [1.0, 1.25, 1.5, 2.0])
def test_padded_boxes_are_even_and_large_enough(size, padding):
    padded = Kernel(3, padding, 3, 0.05).padded_size(size)
    assert padded % 2 == 0
    assert size * padding <= padded < size * padding + 2


def test_weights_are_shared_and_cannot_be_spoiled():
    assert quadratic().weights() is quadratic().weights()
    with pytest.raises(ValueError, match="read-only"):
        quadratic().weights()[0, 0] = 1.0
