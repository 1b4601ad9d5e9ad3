"""Scale and blur of beads against a map made of them with both known."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.structures.beads import Beads
from cryojax_het.structures.envelope import (
    ShellSums,
    bead_transform,
    fitted_envelope,
    map_sums,
)
from cryojax_het.volumes.gaussians import gaussian_density

SIZE, PIXEL = 24, 3.0


def model(seed=0, count=60):
    rng = np.random.default_rng(seed)
    return Beads(
        rng.normal(size=(count, 3)) * 5, rng.uniform(5, 9, count), rng.uniform(4.0, 5.0, count)
    )


def density(beads, scale, variance):
    widths = np.sqrt(beads.widths**2 + variance)
    positions, weights = jnp.asarray(beads.positions), jnp.asarray(scale * beads.weights)
    made = gaussian_density(positions, weights, jnp.asarray(widths), FourierGrid(SIZE, PIXEL))
    return np.asarray(made)


@pytest.mark.parametrize(("scale", "variance"), [(1.0, 0.0), (0.4, 9.0), (2.5, -1.5)])
def test_scale_and_blur_are_found(scale, variance):
    beads = model()
    sums = map_sums(density(beads, scale, variance), PIXEL, beads, np.ones(SIZE // 2 + 1))
    found = fitted_envelope(sums, -5.0)
    assert found.scale == pytest.approx(scale, rel=1e-3)
    assert found.variance == pytest.approx(variance, abs=0.02)


def test_noise_in_shells_of_no_weight_changes_nothing():
    beads = model()
    voxels = density(beads, 0.7, 4.0)
    weight = np.where(np.arange(SIZE // 2 + 1) < 6, 1.0, 0.0)
    transform = np.fft.fftn(voxels)
    index = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(index[:, None, None] ** 2 + index[:, None] ** 2 + index**2)
    noise = np.fft.fftn(np.random.default_rng(1).normal(size=voxels.shape) * voxels.std())
    noisy = np.fft.ifftn(transform + np.where(radius > 6.5, noise, 0)).real
    found = fitted_envelope(map_sums(noisy, PIXEL, beads, weight), -5.0)
    assert found.scale == pytest.approx(0.7, rel=1e-2)
    assert found.variance == pytest.approx(4.0, abs=0.1)


def test_transform_is_that_of_one_bead():
    beads = Beads(np.array([[1.0, -2.0, 3.0]]), np.array([2.0]), np.array([1.5]))
    full, half = np.array([0.0, 0.02, -0.05]), np.array([0.0, 0.03])
    found = bead_transform(beads, full, half)
    z, y, x = 2, 1, 1
    square = full[z] ** 2 + full[y] ** 2 + half[x] ** 2
    phase = full[z] * 3.0 + full[y] * -2.0 + half[x] * 1.0
    expected = 2 * np.exp(-2 * np.pi**2 * 1.5**2 * square - 2j * np.pi * phase)
    assert found[z, y, x] == pytest.approx(expected, rel=1e-12)


def test_a_model_of_opposite_sign_is_refused():
    sums = ShellSums(-np.ones(3), np.ones(3), np.array([0.0, 1e-4, 4e-4]))
    with pytest.raises(ValueError, match="does not correlate"):
        fitted_envelope(sums, 0.0)
