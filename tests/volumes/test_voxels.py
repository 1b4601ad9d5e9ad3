"""Voxel volumes against analytic transforms of Gaussians and direct sums."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.kernel import cubic, quadratic
from cryojax_het.volumes.voxels import (
    Voxels,
    crop_voxels,
    half_transform,
    voxels_of_half_transform,
)

NONE = jnp.zeros(0)


def blobs(count, radius, seed=0):
    """Positions uniform in a ball, and amplitudes."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    positions = direction * (radius * rng.uniform(size=(count, 1)) ** (1 / 3))
    return positions, rng.uniform(0.5, 1.5, count)


def density_of(positions, amplitudes, width, size, spacing):
    r = (np.arange(size) - size // 2) * spacing
    profiles = np.exp(-((r - positions[..., None]) ** 2) / (2 * width**2))
    profiles /= np.sqrt(2 * np.pi) * width
    return np.einsum("j,jx,jy,jz->zyx", amplitudes, *profiles.transpose(1, 0, 2))


def analytic_slice(positions, amplitudes, width, rotation, grid):
    """Sum over Gaussians at every frequency inside the circle; and its slope along z-rotation."""
    ky, kx = np.meshgrid(np.asarray(grid.ky), np.asarray(grid.kx), indexing="ij")
    inside = np.asarray(grid.inside())
    k = np.stack([kx[inside], ky[inside], np.zeros(inside.sum())], axis=-1)
    phase = np.exp(-2j * np.pi * k @ rotation @ positions.T)
    out = np.zeros(inside.shape, complex)
    out[inside] = phase @ amplitudes * np.exp(-2 * np.pi**2 * width**2 * (k**2).sum(axis=1))
    return out


def relative_error(got, expected, grid):
    weights = np.asarray(grid.weights())
    return np.sqrt(
        (weights * np.abs(got - expected) ** 2).sum() / (weights * np.abs(expected) ** 2).sum()
    )


prepared = eqx.filter_jit(lambda volume, grid: volume.prepare(grid))


@eqx.filter_jit
def slices(volume, rotations, grid):
    return jax.vmap(lambda rotation: volume.slice(NONE, rotation, grid))(rotations)


@pytest.mark.parametrize(
    ("kernel", "value", "slope"), [(quadratic(), 1e-2, 7e-2), (cubic(), 2e-3, 7e-3)]
)
def test_slices_of_a_ball_of_gaussians(kernel, value, slope):
    """300 Gaussians of 1.5 pixels in 0.42 of the box of 64; 32 poses; and their derivative."""
    size, spacing = 64, 1.3
    grid = FourierGrid(size, spacing)
    positions, amplitudes = blobs(300, 0.42 * size * spacing)
    width = 1.5 * spacing
    voxels = density_of(positions, amplitudes, width, size, spacing)
    volume = prepared(Voxels(jnp.asarray(voxels), spacing, kernel), grid)
    rotations = Rotation.random(32, rng=np.random.default_rng(1)).as_matrix()
    turned = Rotation.from_rotvec([0.003, -0.005, 0.004]).as_matrix()
    truth = [analytic_slice(positions, amplitudes, width, r, grid) for r in rotations]
    got = slices(volume, jnp.asarray(rotations), grid)
    errors = [relative_error(*pair, grid) for pair in zip(got, truth, strict=True)]
    assert np.sqrt(np.mean(np.square(errors))) < value
    assert max(errors) < 1.5 * value
    along = lambda f: (f(turned.T) - f(turned)) / 2
    change = along(lambda t: np.asarray(slices(volume, jnp.asarray(t @ rotations[:4]), grid)))
    true = along(
        lambda t: np.stack(
            [analytic_slice(positions, amplitudes, width, t @ r, grid) for r in rotations[:4]]
        )
    )
    assert relative_error(change, true, grid) < slope


def test_a_grid_coarser_or_finer_than_the_volume():
    spacing, width = 1.5, 2.4
    positions, amplitudes = blobs(20, 9.0)
    voxels = density_of(positions, amplitudes, width, 24, spacing)
    volume = prepared(Voxels(jnp.asarray(voxels), spacing, cubic()), FourierGrid(24, 1.5))
    rotation = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    # The box of the images need not be the volume's, nor the pixel.
    for grid in (FourierGrid(16, 2.25), FourierGrid(20, 2.0)):
        truth = analytic_slice(positions, amplitudes, width, rotation, grid)
        got = slices(volume, jnp.asarray(rotation)[None], grid)[0]
        assert relative_error(got, truth, grid) < 2e-3
    fine = FourierGrid(36, 1.0)
    got = np.asarray(slices(volume, jnp.asarray(rotation)[None], fine)[0])
    truth = analytic_slice(positions, amplitudes, width, rotation, fine)
    assert relative_error(got, truth, fine) < 5e-3
    # Beyond the volume's own Nyquist frequency, on every axis, there is nothing.
    plane = np.abs(np.asarray(fine.plane(jnp.asarray(rotation)))).max(axis=-1)
    assert not got[plane > 1 / (2 * spacing)].any()


@pytest.mark.parametrize("kernel", [quadratic(), cubic()], ids=["quadratic", "cubic"])
def test_half_transform_and_its_adjoint(kernel):
    voxels = jnp.asarray(np.random.default_rng(0).normal(size=(10, 10, 10)))
    table = jax.jit(half_transform, static_argnums=1)(voxels, kernel)
    other = jax.lax.complex(*jax.random.normal(jax.random.key(0), (2, *table.shape)))
    back = jax.jit(voxels_of_half_transform, static_argnums=(1, 2))(other, 10, kernel)
    left = jnp.sum(table.real * other.real + table.imag * other.imag)
    assert float(left) == pytest.approx(float(jnp.sum(back * voxels)), rel=1e-12)


def test_half_transform_is_that_of_the_corrected_voxels():
    """At table rows `m + kz` etc. stands the direct sum over corrected voxels at `k` of m."""
    kernel, n = quadratic(), 8
    voxels = np.random.default_rng(0).normal(size=(n, n, n))
    m = kernel.padded_size(n)
    r = np.arange(n) - n // 2
    c = kernel.correction(2 * np.pi * r / m)
    corrected = voxels * c[:, None, None] * c[:, None] * c
    table = half_transform(jnp.asarray(voxels), kernel)
    origin = table.shape[0] // 2
    for kz, ky, kx in [(0, 0, 0), (1, -2, 3), (-3, 4, 1), (2, 2, -2), (-m // 2 - 1, 0, m // 2)]:
        wave = lambda k: np.exp(-2j * np.pi * k * r / m)
        expected = np.einsum("zyx,z,y,x", corrected, wave(kz), wave(ky), wave(kx))
        got = table[origin + kz, origin + ky, 2 + kx]
        assert complex(got) == pytest.approx(expected, abs=1e-10)


def test_cropped_voxels_are_the_density_at_coarser_voxels():
    positions, amplitudes = blobs(20, 9.0)
    fine = density_of(positions, amplitudes, 3.2, 32, 1.2)
    cropped = crop_voxels(jnp.asarray(fine), 24)
    coarse = density_of(positions, amplitudes, 3.2, 24, 1.6)
    np.testing.assert_allclose(cropped, coarse, atol=2e-4 * coarse.max())
    assert crop_voxels(cropped, 24) is cropped
    with pytest.raises(ValueError, match=r"exceed the volume's 24 voxels\. Got 26"):
        crop_voxels(cropped, 26)


def test_density_is_the_voxels_or_their_crop():
    voxels = jnp.asarray(np.random.default_rng(0).normal(size=(16, 16, 16)))
    volume = Voxels(voxels, 1.2)
    np.testing.assert_array_equal(volume.density(NONE, FourierGrid(16, 1.2)), voxels)
    assert volume.density(NONE, FourierGrid(16, 1.2).crop(12)).shape == (12, 12, 12)


def test_density_on_a_finer_grid_is_refused():
    volume = Voxels(jnp.zeros((16, 16, 16)), 1.2)
    with pytest.raises(ValueError, match=r"exceed the volume's 16 voxels\. Got 20"):
        volume.density(NONE, FourierGrid(20, 0.96))
