"""Real spherical harmonics against SciPy's, and their rotations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from cryojax_het.volumes.prolate.harmonics import (
    equator,
    real_harmonics,
    rotation_matrices,
    turning_points,
)

harmonics = jax.jit(real_harmonics, static_argnums=1)
RNG = np.random.default_rng(0)
DIRECTIONS = Rotation.random(40, rng=RNG).as_matrix()[:, 0]


def scipy_harmonics(degree, directions):
    theta = np.arccos(directions[:, 2])
    phi = np.arctan2(directions[:, 1], directions[:, 0])
    columns = []
    for m in range(-degree, degree + 1):
        value = (-1) ** m * sph_harm_y(degree, abs(m), theta, phi)
        part = value.real if m >= 0 else value.imag
        columns.append(part * (1 if m == 0 else np.sqrt(2)))
    return np.stack(columns, axis=1)


def test_values():
    found = harmonics(jnp.asarray(DIRECTIONS), 40)
    for degree in (0, 1, 2, 7, 40):
        np.testing.assert_allclose(
            found[:, degree**2 : (degree + 1) ** 2], scipy_harmonics(degree, DIRECTIONS), atol=1e-13
        )


def test_single_precision_holds_to_high_degree():
    found = harmonics(jnp.asarray(DIRECTIONS, jnp.float32), 60)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[:, 3600:], scipy_harmonics(60, DIRECTIONS), atol=2e-4)


@pytest.mark.parametrize("degree", [1, 6, 24])
def test_turned_coefficients_equal_turned_directions(degree):
    points, inverse = turning_points(degree)
    rotation = jnp.asarray(Rotation.random(rng=RNG).as_matrix())
    matrices = jax.jit(rotation_matrices)(rotation, jnp.asarray(points), inverse)
    turned = harmonics(jnp.asarray(DIRECTIONS) @ rotation, degree)
    still = harmonics(jnp.asarray(DIRECTIONS), degree)
    for l, matrix in enumerate(matrices):
        there, here = (x[:, l**2 : (l + 1) ** 2] for x in (turned, still))
        np.testing.assert_allclose(here @ matrix, there, atol=1e-12)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-12)


def test_gradient_is_finite_where_angles_have_none():
    points, inverse = turning_points(3)

    def total(rotation):
        parts = rotation_matrices(rotation, jnp.asarray(points), inverse)
        return sum(jnp.sum(part) for part in parts)

    assert np.isfinite(jax.jit(jax.grad(total))(jnp.eye(3))).all()


def test_equator():
    angle = 0.7
    direction = np.array([[np.cos(angle), np.sin(angle), 0.0]])
    constants = equator(9)
    for degree in (0, 1, 4, 9):
        m = np.arange(-degree, degree + 1)
        around = np.where(m < 0, np.sin(-m * angle), np.cos(m * angle))
        np.testing.assert_allclose(
            constants[degree**2 : (degree + 1) ** 2] * around,
            scipy_harmonics(degree, direction)[0],
            atol=1e-14,
        )
