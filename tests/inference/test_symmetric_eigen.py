import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.symmetric_eigen import symmetric_eigen


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 20])
@pytest.mark.parametrize("kind", [jnp.float32, jnp.float64])
def test_as_lapack(size, kind):
    rng = np.random.default_rng(size)
    factor = rng.normal(size=(30, size, size)) * np.geomspace(1, 1e-3, size)
    matrices = factor @ factor.transpose(0, 2, 1)
    values, vectors = jax.jit(jax.vmap(symmetric_eigen))(jnp.asarray(matrices, kind))
    order = np.argsort(values, axis=1)
    accuracy = 2e-6 if kind == jnp.float32 else 1e-12
    expected = np.linalg.eigvalsh(matrices)
    scale = np.abs(expected).max()
    found = np.take_along_axis(np.asarray(values), order, axis=1)
    np.testing.assert_allclose(found, expected, atol=10 * accuracy * scale)
    rebuilt = np.einsum("nij,nj,nkj->nik", vectors, values, vectors)
    np.testing.assert_allclose(rebuilt, matrices, atol=10 * accuracy * scale)
    square = np.einsum("nji,njk->nik", vectors, vectors)
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(size), square.shape), atol=2e-5)


def test_diagonal_and_zero_matrices_stay():
    for matrix in (jnp.zeros((4, 4)), jnp.diag(jnp.array([3.0, 1.0, 2.0]))):
        values, vectors = symmetric_eigen(matrix)
        rebuilt = vectors @ jnp.diag(values) @ vectors.T
        np.testing.assert_allclose(rebuilt, matrix, atol=1e-12)
