"""Points laid down on a grid against their plane waves, and the adjoint to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.kernel import Kernel
from cryojax_het.volumes.splat import Splat

GRID = FourierGrid(24, 2.0)
RNG = np.random.default_rng(0)
# Half of the points are beyond the box of 48 Å on some axis.
POSITIONS = jnp.asarray(RNG.normal(0, 20, (300, 3)))
VALUES = jnp.asarray(RNG.normal(size=300))
ROTATION = jnp.asarray(Rotation.random(rng=RNG).as_matrix())
NARROW = Splat(Kernel(3, 1.68, 3, 1.0))
WIDE = Splat(Kernel(6, 1.68, 8, 1e-3))


def waves(frame):
    """`Σ v exp(-2πi k·r)` by explicit sums over points."""
    k = np.asarray(GRID.plane(frame))
    phase = np.einsum("yxa,ja->yxj", k, POSITIONS)
    return np.exp(-2j * np.pi * phase) @ np.asarray(VALUES) * GRID.inside()


def relative(got, expected):
    return np.linalg.norm(got - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("splat", "error"), [(Splat(), 5e-4), (NARROW, 5e-3), (WIDE, 5e-5)], ids=["4", "3", "6"]
)
def test_slices_are_sums_of_plane_waves(splat, error):
    landing = splat.landing(POSITIONS, ROTATION, GRID)
    assert relative(splat.slice(VALUES, landing, GRID), waves(ROTATION)) < error


def test_a_magnified_frame_is_followed():
    stretched = jnp.diag(jnp.asarray([1.03, 0.98, 1.0])) @ ROTATION
    landing = Splat().landing(POSITIONS, stretched, GRID)
    assert relative(Splat().slice(VALUES, landing, GRID), waves(stretched)) < 5e-4


@pytest.mark.parametrize("splat", [Splat(), NARROW], ids=["even", "odd"])
def test_back_is_the_adjoint(splat):
    parts = RNG.normal(size=(2, GRID.size, GRID.size // 2 + 1))
    plane = jnp.asarray(parts[0] + 1j * parts[1])
    landing = splat.landing(POSITIONS, ROTATION, GRID)
    there = jnp.vdot(splat.slice(VALUES, landing, GRID), plane).real
    back = jnp.vdot(VALUES, splat.back(plane, landing, GRID))
    np.testing.assert_allclose(there, back, rtol=1e-12)


def test_back_is_what_autodiff_makes_of_the_slice():
    landing = Splat().landing(POSITIONS, ROTATION, GRID)
    plane = Splat().slice(VALUES, landing, GRID)
    square = lambda v: 0.5 * jnp.sum(jnp.abs(Splat().slice(v, landing, GRID)) ** 2)
    np.testing.assert_allclose(
        jax.grad(square)(VALUES), Splat().back(plane, landing, GRID), atol=1e-9
    )


def test_single_precision_stays():
    grid, single = FourierGrid(24, jnp.float32(2.0)), lambda x: x.astype(jnp.float32)
    landing = Splat().landing(single(POSITIONS), single(ROTATION), grid)
    plane = Splat().slice(single(VALUES), landing, grid)
    assert plane.dtype == jnp.complex64
    assert Splat().back(plane, landing, grid).dtype == jnp.float32
    assert relative(plane, waves(ROTATION)) < 5e-4
