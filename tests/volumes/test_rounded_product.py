"""A product of rounded matrices and its slopes, beside NumPy's of the rounded numbers."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from cryojax_het.volumes.rounded_product import rounded_product

IMAGES, POINTS, IN, OUT = 3, 7, 5, 4


def drawn(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32)


ROWS, MATRIX, TARGET = (
    drawn(0, IMAGES, POINTS, IN),
    drawn(1, IN, OUT),
    drawn(2, IMAGES, POINTS, OUT),
)


def rounded(array):
    return np.asarray(array).astype(ml_dtypes.bfloat16).astype(np.float64)


def loss(rows, matrix):
    """Of a batch, each image by itself; linear, so that its slope by a product is `TARGET`."""
    made = jax.vmap(rounded_product, in_axes=(0, None))(rows, matrix)
    return jnp.sum(made * TARGET)


def test_values_are_those_of_rounded_numbers():
    expected = rounded(ROWS) @ rounded(MATRIX)
    for made in (rounded_product(ROWS, MATRIX), rounded_product(ROWS[0, 0], MATRIX)[None, None]):
        np.testing.assert_allclose(
            made, expected[: len(made), : made.shape[1]], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("wrap", [lambda f: f, jax.checkpoint])
def test_slopes_of_a_batch_are_products_of_rounded_numbers(wrap):
    by_rows, by_matrix = jax.jit(jax.grad(wrap(loss), argnums=(0, 1)))(ROWS, MATRIX)
    np.testing.assert_allclose(by_rows, rounded(TARGET) @ rounded(MATRIX).T, rtol=1e-5, atol=1e-5)
    flat = rounded(ROWS).reshape(-1, IN), rounded(TARGET).reshape(-1, OUT)
    np.testing.assert_allclose(by_matrix, flat[0].T @ flat[1], rtol=1e-5, atol=1e-5)
    assert by_rows.dtype == by_matrix.dtype == jnp.float32


def test_orders_of_transformations_agree():
    """Slopes of each image, and those of matrices that are a batch too."""

    def one(rows, matrix, target):
        return jnp.sum(rounded_product(rows, matrix) * target)

    each = jax.vmap(jax.grad(one, argnums=1), in_axes=(0, None, 0))(ROWS, MATRIX, TARGET)
    np.testing.assert_allclose(each.sum(0), jax.grad(loss, argnums=1)(ROWS, MATRIX), rtol=1e-5)
    matrices = jnp.stack([MATRIX] * IMAGES)
    of_batch = jax.grad(lambda m: jnp.sum(jax.vmap(rounded_product)(ROWS, m) * TARGET))(matrices)
    np.testing.assert_allclose(of_batch, each, rtol=2e-2, atol=2e-2)


def test_forward_and_second_derivatives():
    """Of a cubic of the product, beside those of the full one, to bfloat16's precision."""

    def cubic(product):
        return lambda x, w: jnp.sum(product(x, w) ** 3)

    full = cubic(lambda x, w: jnp.matmul(x, w, precision="highest"))
    ours, at = cubic(rounded_product), (ROWS[0], MATRIX)
    step = (0 * ROWS[0], drawn(3, IN, OUT))
    slope = lambda f: float(jax.jvp(f, at, step)[1])
    assert slope(ours) == pytest.approx(slope(full), rel=0.03)
    curve = lambda f: jax.jvp(jax.grad(f, argnums=1), at, step)[1]
    error = jnp.linalg.norm(curve(ours) - curve(full)) / jnp.linalg.norm(curve(full))
    assert float(error) < 0.03


def test_a_gradient_of_a_batch_is_one_product_of_rounded_matrices():
    """Not one for each image, nor one of single-precision numbers."""
    program = jax.jit(jax.grad(loss, argnums=1)).lower(ROWS, MATRIX).as_text()
    products = [line for line in program.splitlines() if "dot_general" in line]
    shapes = f"(tensor<{IN}x{IMAGES * POINTS}xbf16>, tensor<{IMAGES * POINTS}x{OUT}xbf16>)"
    assert any(shapes in line for line in products), products
    assert not any(f"{IMAGES}x{IN}x" in line.split("->")[-1] for line in products), products


def test_a_misfit_is_named():
    with pytest.raises(TypeError, match="matrix"):
        rounded_product(ROWS, MATRIX.T)
