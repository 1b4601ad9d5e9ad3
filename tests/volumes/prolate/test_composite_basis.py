"""Functions of several balls against the definition, and against voxels."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.composite_basis import CompositeBasis
from cryojax_het.volumes.prolate.voxels import voxels_of

CENTRES = np.array([[6.0, -3.0, 0.0], [-5.0, 1.5, 3.0]])
PARTS = prolate_basis(8.0, 0.1, 0.3), prolate_basis(10.0, 0.1, 0.3)
BASIS = CompositeBasis(PARTS, jnp.asarray(CENTRES))
RNG = np.random.default_rng(0)
COEFFICIENTS = RNG.normal(size=(BASIS.size, 2))


def transform(points):
    return np.asarray(
        eqx.filter_jit(BASIS.transform)(jnp.asarray(COEFFICIENTS), jnp.asarray(points))
    )


def of_parts(points):
    """A wave for each centre times the transform of the functions about it."""
    total, start = 0, 0
    for part, centre in zip(PARTS, CENTRES, strict=True):
        own = jnp.asarray(COEFFICIENTS[start : start + part.size])
        wave = np.exp(-2j * np.pi * points @ centre)
        total = total + wave[:, None] * np.asarray(eqx.filter_jit(part.transform)(own, points))
        start += part.size
    return total


def test_regions_come_one_after_the_other():
    assert BASIS.size == sum(part.size for part in PARTS)
    counted = np.bincount(BASIS.region_of_each())
    np.testing.assert_array_equal(counted, [part.size for part in PARTS])
    frequencies = np.asarray(BASIS.mean_frequencies())
    np.testing.assert_allclose(frequencies[: PARTS[0].size], PARTS[0].mean_frequencies())


def test_the_transform_is_that_of_moved_regions():
    points = 0.08 * RNG.normal(size=(50, 3))
    np.testing.assert_allclose(transform(points), of_parts(points), atol=1e-10)


def test_voxels_of_the_transform_lie_about_the_centres():
    """Regions moved by whole voxels: as voxels of each alone, rolled."""
    grid = FourierGrid(32, 1.5)
    part, voxels = PARTS[0], jnp.asarray(COEFFICIENTS[: PARTS[0].size])
    about_middle = np.asarray(eqx.filter_jit(lambda a: voxels_of(part, a, grid))(voxels))[0]
    moved = np.roll(about_middle, (0, -2, 4), axis=(0, 1, 2))  # z, y, x
    points = RNG.integers(-2, 3, (20, 3)) / 48  # waves of the box: voxels are exact at them
    r = 1.5 * (np.arange(32) - 16)
    waves = [np.exp(-2j * np.pi * points[:, axis, None] * r) for axis in (2, 1, 0)]
    direct = np.einsum("zyx,kz,ky,kx->k", moved, *waves, optimize=True) * 1.5**3
    alone = np.zeros_like(COEFFICIENTS)
    alone[: part.size] = COEFFICIENTS[: part.size]
    found = np.asarray(eqx.filter_jit(BASIS.transform)(jnp.asarray(alone), jnp.asarray(points)))[
        :, 0
    ]
    assert np.linalg.norm(found - direct) < 1e-6 * np.linalg.norm(direct)


def test_normal_equations_are_products_of_transforms():
    points = 0.05 * RNG.normal(size=(40, 3))
    weight = RNG.uniform(0.5, 1, 40)
    right = RNG.normal(size=40) + 1j * RNG.normal(size=40)
    each = np.asarray(eqx.filter_jit(BASIS.transform)(jnp.eye(BASIS.size), jnp.asarray(points)))
    (gram,), (side,) = eqx.filter_jit(BASIS.normal)(
        jnp.asarray(points), jnp.asarray(weight), jnp.asarray(right)
    )
    expected = (each.conj().T @ (weight[:, None] * each)).real
    np.testing.assert_allclose(gram, expected, atol=1e-9 * np.abs(expected).max())
    expected = (each.conj().T @ right).real
    np.testing.assert_allclose(side, expected, atol=1e-9 * np.abs(expected).max())
