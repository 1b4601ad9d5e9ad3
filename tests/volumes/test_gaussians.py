"""Gaussians against direct sums over atoms and against their own density."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.gaussians import Gaussians, example

NONE = jnp.zeros(0)
GRID = FourierGrid(20, 1.4)
FRAME = Rotation.random(rng=np.random.default_rng(0)).as_matrix()
slice_of = eqx.filter_jit(lambda volume, frame, grid: volume.slice(NONE, frame, grid))


def volume(chunk=512, count=37):
    rng = np.random.default_rng(1)
    widths = rng.uniform(1.5, 3.0, count)
    positions, amplitudes = rng.normal(0, 4, (count, 3)), rng.uniform(-1, 2, count)
    return Gaussians(*map(jnp.asarray, (positions, amplitudes, widths)), chunk=chunk)


def by_atoms(volume, frame, grid):
    """`Σ a exp(-2πi k·c - 2π²s²k²)` at `k = Lᵀ(kx, ky, 0)`, inside the circle."""
    ky, kx = np.meshgrid(np.asarray(grid.ky), np.asarray(grid.kx), indexing="ij")
    k = kx[..., None] * frame[0] + ky[..., None] * frame[1]
    positions, amplitudes, widths = map(
        np.asarray, (volume.positions, volume.amplitudes, volume.widths)
    )
    decay = 2 * np.pi**2 * (k**2).sum(axis=-1)[..., None] * widths**2
    terms = amplitudes * np.exp(-2j * np.pi * k @ positions.T - decay)
    return np.where(grid.inside(), terms.sum(axis=-1), 0)


@pytest.mark.parametrize("chunk", [1, 5, 37, 512])
def test_slices_are_sums_over_atoms_in_chunks_of_any_size(chunk):
    got = slice_of(volume(chunk), jnp.asarray(FRAME), GRID)
    np.testing.assert_allclose(got, by_atoms(volume(), FRAME, GRID), atol=1e-9)


def test_gradients_do_not_depend_on_chunks():
    target = jax.random.normal(jax.random.key(0), (20, 11))

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(arguments):
        volume, frame = arguments
        return jnp.sum(jnp.abs(volume.slice(NONE, frame, GRID) - target) ** 2)

    whole, parts = (gradient((volume(c), jnp.asarray(FRAME))) for c in (512, 5))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_magnification_of_equal_widths_is_exact():
    magnification = np.array([[1.03, 0.02], [-0.01, 0.97]])
    frame = np.concatenate([magnification.T @ FRAME[:2], FRAME[2:]])
    equal = eqx.tree_at(lambda v: v.widths, volume(), jnp.full(37, 2.0))
    np.testing.assert_allclose(
        slice_of(equal, jnp.asarray(frame), GRID), by_atoms(equal, frame, GRID), atol=1e-9
    )


def test_magnification_of_unequal_widths_is_close():
    magnification = np.array([[1.03, 0.02], [-0.01, 0.97]])
    frame = np.concatenate([magnification.T @ FRAME[:2], FRAME[2:]])
    expected = by_atoms(volume(), frame, GRID)
    got = slice_of(volume(), jnp.asarray(frame), GRID)
    assert np.linalg.norm(got - expected) < 2e-3 * np.linalg.norm(expected)
    # Without the cross term it would be several times worse.
    plain = frame.copy()
    assert np.abs(plain[0] @ plain[1]) > 1e-3


def test_density_is_the_sum_of_normal_densities():
    grid = FourierGrid(10, 1.4)
    axis = (np.arange(10) - 5) * 1.4
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = np.stack([x, y, z], axis=-1)
    model = volume(count=4)
    expected = sum(
        float(a) * multivariate_normal(np.asarray(c), float(s) ** 2 * np.eye(3)).pdf(points)
        for c, a, s in zip(model.positions, model.amplitudes, model.widths, strict=True)
    )
    np.testing.assert_allclose(model.density(NONE, grid), expected, atol=1e-12)


def test_slice_is_the_direct_transform_of_the_density():
    grid = FourierGrid(32, 1.2)
    model = example(jax.random.key(0), FourierGrid(24, 1.2))
    density = np.asarray(model.density(NONE, grid))
    r = (np.arange(32) - 16) * 1.2
    got = np.asarray(slice_of(model, jnp.asarray(FRAME), grid))
    plane = np.asarray(grid.plane(jnp.asarray(FRAME)))
    for row, column in [(0, 0), (1, 4), (31, 4), (27, 2), (10, 8)]:
        kx, ky, kz = plane[row, column]
        waves = [np.exp(-2j * np.pi * k * r) for k in (kz, ky, kx)]
        direct = np.einsum("zyx,z,y,x", density, *waves) * 1.2**3
        assert got[row, column] == pytest.approx(direct, abs=1e-4)


def test_no_weight_gives_no_image_and_finite_gradients():
    empty = eqx.tree_at(lambda v: v.amplitudes, volume(), jnp.zeros(37))
    energy = lambda v: jnp.sum(jnp.abs(v.slice(NONE, jnp.asarray(FRAME), GRID) - 1.0) ** 2)
    assert not np.asarray(slice_of(empty, jnp.asarray(FRAME), GRID)).any()
    for leaf in jax.tree.leaves(eqx.filter_jit(eqx.filter_grad(energy))(empty)):
        assert np.isfinite(leaf).all()
