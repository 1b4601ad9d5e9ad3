"""Euler angles and rotation vectors against published numbers, scipy and themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryojax_het.particles.euler import (
    euler_to_matrix,
    matrix_to_euler,
    matrix_to_vector,
    vector_to_matrix,
)

_ANGLE = st.floats(-720, 720, allow_nan=False)


def test_relion_numbers():
    expected = [
        [0.2200881, -0.1046870, -0.9698463],
        [-0.3084889, 0.9357297, -0.1710101],
        [0.9254166, 0.3368241, 0.1736482],
    ]
    rotation = euler_to_matrix(np.array([[20.0, 80.0, -10.0]]))
    np.testing.assert_allclose(rotation[0], expected, atol=1e-7)


def test_is_scipys_zyz_inverse():
    degrees = np.random.default_rng(0).uniform(-180, 180, (50, 3))
    scipys = Rotation.from_euler("ZYZ", degrees, degrees=True).as_matrix()
    np.testing.assert_allclose(euler_to_matrix(degrees).transpose(0, 2, 1), scipys, atol=1e-12)


@given(_ANGLE, st.one_of(_ANGLE, st.sampled_from([0.0, 180.0, -180.0, 1e-7])), _ANGLE)
def test_angles_come_back_as_the_same_rotation(rot, tilt, psi):
    rotation = euler_to_matrix(np.array([[rot, tilt, psi]]))
    again = matrix_to_euler(rotation)
    assert 0 <= again[0, 1] <= 180
    np.testing.assert_allclose(euler_to_matrix(again), rotation, atol=2e-8)


def test_rotation_vector():
    rotation = vector_to_matrix(np.array([[0.0, 0.0, np.pi / 2]]))
    np.testing.assert_allclose(rotation[0], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1.0, np.pi - 1e-9, np.pi])
def test_rotation_vector_comes_back(angle):
    axis = np.array([[0.6, -0.48, 0.64]])
    rotation = vector_to_matrix(angle * axis)
    np.testing.assert_allclose(vector_to_matrix(matrix_to_vector(rotation)), rotation, atol=1e-12)
