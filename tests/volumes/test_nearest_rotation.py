"""The nearest rotation against the singular value decomposition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.volumes.nearest_rotation import cofactors, determinant, nearest_rotation

RNG = np.random.default_rng(0)
TURNS = Rotation.random(200, rng=RNG).as_matrix()


def by_svd(matrix):
    u, _, v = np.linalg.svd(matrix)
    u[..., :, 2] *= np.linalg.det(u @ v)[..., None]
    return u @ v


CASES = {
    "near a rotation": TURNS @ (np.eye(3) + 0.05 * RNG.normal(size=(200, 3, 3))),
    "far": TURNS @ (np.eye(3) + 0.4 * RNG.normal(size=(200, 3, 3))),
    "reflecting": TURNS @ np.diag([1.4, 0.9, -0.3]) @ TURNS[::-1],
    "flat": TURNS @ np.diag([1.2, 0.8, 0.0]) @ TURNS[::-1],
    "identity": np.eye(3)[None],
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_polar_factor(name):
    matrix = CASES[name]
    found = np.asarray(nearest_rotation(jnp.asarray(matrix)))
    np.testing.assert_allclose(found, by_svd(matrix), atol=2e-6 if name == "far" else 1e-9)


def test_single_precision():
    matrix = CASES["near a rotation"]
    found = nearest_rotation(jnp.asarray(matrix, jnp.float32))
    np.testing.assert_allclose(found, by_svd(matrix), atol=5e-6)


def test_nothing_is_not_a_number():
    for matrix in (np.zeros((3, 3)), np.diag([1.0, 0, 0]), -np.eye(3), np.diag([1.0, 1, -1])):
        assert np.isfinite(nearest_rotation(jnp.asarray(matrix))).all()


def test_cofactors_and_determinant():
    matrix = CASES["far"]
    np.testing.assert_allclose(determinant(jnp.asarray(matrix)), np.linalg.det(matrix), atol=1e-12)
    inverse = np.linalg.inv(matrix).swapaxes(1, 2)
    expected = np.linalg.det(matrix)[:, None, None] * inverse
    np.testing.assert_allclose(cofactors(jnp.asarray(matrix)), expected, atol=1e-10)


def test_strain_by_the_nearest_rotation_has_the_exact_gradient():
    """`|F - R(F)|²` with `R` held: the gradient of the whole, also at the identity."""
    held = lambda f: jnp.sum((f - nearest_rotation(f)) ** 2)
    whole = lambda f: float(np.sum((f - by_svd(f)) ** 2))
    for matrix in CASES["near a rotation"][:3]:
        slope = np.asarray(jax.grad(held)(jnp.asarray(matrix)))
        step = 1e-5
        for i, j in np.ndindex(3, 3):
            unit = step * np.eye(9)[3 * i + j].reshape(3, 3)
            numeric = (whole(matrix + unit) - whole(matrix - unit)) / (2 * step)
            assert slope[i, j] == pytest.approx(numeric, abs=1e-7)
    np.testing.assert_allclose(jax.grad(held)(jnp.eye(3)), 0, atol=1e-15)
