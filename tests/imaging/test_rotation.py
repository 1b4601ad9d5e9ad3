"""SO(3) against scipy's rotations, finite differences and moments of the Haar measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import kstest

from cryojax_het.imaging import rotation as so3

jitted = {name: jax.jit(getattr(so3, name)) for name in ("exp", "log", "geodesic", "to_euler")}
jitted |= {name: jax.jit(getattr(so3, name)) for name in ("to_quaternion", "from_quaternion")}
from_euler = jax.jit(so3.from_euler)
exp_forward, exp_reverse = jax.jit(jax.jacfwd(so3.exp)), jax.jit(jax.jacrev(so3.exp))

# Lengths of rotation vectors, crowded where formulas divide by zero or lose the axis.
ANGLES = st.one_of(
    st.floats(0, np.pi),
    st.floats(-15, -1).map(lambda power: 10.0**power),
    st.floats(-15, -1).map(lambda power: np.pi - 10.0**power),
)
DIRECTIONS = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda v: v / np.linalg.norm(v))(np.random.default_rng(seed).normal(size=3))
)
thorough = settings(deadline=None, max_examples=100, derandomize=True, database=None)


def some_rotations(count, seed=0):
    return Rotation.random(count, rng=np.random.default_rng(seed))


@thorough
@given(ANGLES, DIRECTIONS)
def test_exp_is_scipys_and_log_undoes_it(angle, direction):
    vector = angle * direction
    matrix = jitted["exp"](jnp.asarray(vector))
    np.testing.assert_allclose(matrix, Rotation.from_rotvec(vector).as_matrix(), atol=1e-14)
    back = np.asarray(jitted["log"](matrix))
    # Within rounding of π the two ends of the axis are one rotation.
    same_end = back if back @ vector >= 0 or angle < np.pi - 1e-7 else -back
    np.testing.assert_allclose(same_end, vector, atol=1e-7 if angle > np.pi - 1e-6 else 1e-13)


@thorough
@given(DIRECTIONS)
def test_log_at_exactly_pi(direction):
    half_turn = 2 * np.outer(direction, direction) - np.eye(3)
    vector = np.asarray(jitted["log"](jnp.asarray(half_turn)))
    assert np.linalg.norm(vector) == pytest.approx(np.pi, abs=1e-12)
    assert abs(vector @ direction) == pytest.approx(np.pi, abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.99e-3, 1.01e-3, 0.5, 3.0])
def test_derivative_of_exp(angle):
    vector = angle * np.array([0.6, -0.48, 0.64])
    derivative = exp_forward(jnp.asarray(vector))
    assert np.isfinite(derivative).all()
    np.testing.assert_allclose(exp_reverse(jnp.asarray(vector)), derivative, atol=1e-12)
    step = 1e-6
    for axis, unit in enumerate(np.eye(3)):
        plus = Rotation.from_rotvec(vector + step * unit).as_matrix()
        minus = Rotation.from_rotvec(vector - step * unit).as_matrix()
        np.testing.assert_allclose(derivative[..., axis], (plus - minus) / 2 / step, atol=1e-9)


def test_second_derivative_of_exp_at_zero():
    # exp(ω) = 1 + [ω] + ½[ω]² + ...: its Hessian along e is [e]² = e eᵀ - 1.
    hessian = jax.jit(jax.jacfwd(exp_reverse))(jnp.zeros(3))
    for axis, unit in enumerate(np.eye(3)):
        np.testing.assert_allclose(
            hessian[:, :, axis, axis], np.outer(unit, unit) - np.eye(3), atol=1e-9
        )


@pytest.mark.parametrize("angle", [1e-4, 1.1e-3, 3e-3, 0.1])
def test_single_precision_derivative_of_exp(angle):
    vector = angle * np.array([0.6, -0.48, 0.64])
    single = exp_forward(jnp.asarray(vector, jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, exp_forward(jnp.asarray(vector)), atol=1e-6)


def test_derivative_of_log_undoes_that_of_exp():
    round_trip = jax.jit(jax.jacrev(lambda v: so3.log(so3.exp(v))))
    for angle in (0.0, 1e-9, 1e-3, 1.0, 3.1):
        vector = jnp.asarray(angle * np.array([0.6, -0.48, 0.64]))
        np.testing.assert_allclose(round_trip(vector), np.eye(3), atol=1e-7)


def test_skew_is_the_cross_product():
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(so3.skew(jnp.asarray(a)) @ b, np.cross(a, b), atol=1e-15)


def test_quaternions_are_scipys():
    rotations = some_rotations(200)
    quaternions = rotations.as_quat(canonical=True, scalar_first=True)
    matrices = rotations.as_matrix()
    got = jax.jit(jax.vmap(so3.to_quaternion))(jnp.asarray(matrices))
    np.testing.assert_allclose(got, quaternions, atol=1e-14)
    back = jax.jit(jax.vmap(so3.from_quaternion))(jnp.asarray(-7.5 * quaternions))
    np.testing.assert_allclose(back, matrices, atol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_quaternion_of_half_turns(axis):
    half_turn = -np.eye(3)
    half_turn[axis, axis] = 1
    quaternion = np.asarray(jitted["to_quaternion"](jnp.asarray(half_turn)))
    np.testing.assert_allclose(np.abs(quaternion), np.eye(4)[axis + 1], atol=1e-15)


def test_euler_angles_are_scipys():
    degrees = np.random.default_rng(3).uniform(-180, 180, (50, 3))
    scipys = Rotation.from_euler("ZYZ", degrees, degrees=True).as_matrix().transpose(0, 2, 1)
    got = jax.jit(jax.vmap(lambda a: so3.from_euler(*a)))(jnp.deg2rad(jnp.asarray(degrees)))
    np.testing.assert_allclose(got, scipys, atol=1e-14)


@thorough
@given(
    st.floats(-7, 7),
    st.one_of(st.floats(-7, 7), st.sampled_from([0.0, np.pi, -np.pi, 1e-8, np.pi - 1e-8])),
    st.floats(-7, 7),
)
def test_euler_angles_come_back_as_the_same_rotation(rot, tilt, psi):
    matrix = from_euler(*jnp.array([rot, tilt, psi]))
    again = jitted["to_euler"](matrix)
    assert 0 <= again[1] <= np.pi
    # Within 1e-6 of a pole psi is set to zero, which turns that little off the pole.
    np.testing.assert_allclose(from_euler(*again), matrix, atol=2e-6)
    if abs(np.sin(tilt)) > 1e-5:
        np.testing.assert_allclose(from_euler(*again), matrix, atol=1e-13)


@pytest.mark.parametrize("tilt", [0.0, np.pi])
def test_euler_angles_at_the_poles(tilt):
    rot, psi = 0.7, -1.9
    again = jitted["to_euler"](from_euler(*jnp.array([rot, tilt, psi])))
    expected = rot + psi if tilt == 0 else rot - psi  # all that the rotation determines
    assert again[2] == 0
    assert again[1] == pytest.approx(tilt, abs=1e-7)
    assert np.exp(1j * again[0]) == pytest.approx(np.exp(1j * expected), abs=1e-12)


@thorough
@given(ANGLES, DIRECTIONS)
def test_geodesic_is_the_angle_between(angle, direction):
    start = some_rotations(1, seed=5)[0].as_matrix()
    end = start @ Rotation.from_rotvec(angle * direction).as_matrix()
    got = jitted["geodesic"](jnp.asarray(start), jnp.asarray(end))
    assert got == pytest.approx(angle, abs=1e-14 if angle < 1e-10 else 1e-7 if angle > 3 else 1e-12)


def test_random_rotations_are_haar():
    count = 20000
    draw = jax.jit(jax.vmap(so3.random))
    matrices = np.asarray(draw(jax.random.split(jax.random.key(0), count)))
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1),
        np.broadcast_to(np.eye(3), (count, 3, 3)),
        atol=1e-13,
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-13)
    # E R = 0, E R_ij R_kl = δ_ik δ_jl / 3; one entry has variance 1/3.
    flat = matrices.reshape(count, 9)
    np.testing.assert_allclose(flat.mean(axis=0), 0, atol=5 / np.sqrt(3 * count))
    np.testing.assert_allclose(flat.T @ flat / count, np.eye(9) / 3, atol=5 / 3 / np.sqrt(count))
    # The angle has density (1 - cos θ)/π, so that (θ - sin θ)/π is uniform.
    angle = np.arccos(np.clip((np.trace(matrices, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert kstest((angle - np.sin(angle)) / np.pi, "uniform").pvalue > 1e-3


def test_precision_is_kept():
    vector = jnp.array([0.3, -0.2, 0.9], jnp.float32)
    matrix = jitted["exp"](vector)
    quaternion = jitted["to_quaternion"](matrix)
    outputs = [matrix, quaternion, jitted["log"](matrix), jitted["to_euler"](matrix)]
    outputs += [jitted["from_quaternion"](quaternion), from_euler(*vector)]
    outputs += [jitted["geodesic"](matrix, matrix.T), so3.local_grid(jnp.float32(0.1), 1)]
    assert {str(output.dtype) for output in outputs} == {"float32"}
