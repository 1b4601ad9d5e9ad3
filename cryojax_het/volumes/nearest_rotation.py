"""The rotation nearest to a matrix, in closed form.

    R = argmax tr(RᵀF) = [(κ + |F|²) F + λ cof F - F FᵀF] / (κλ - det F),   κ = ½(λ² - |F|²)

`λ = tr(RᵀF)` is the largest root of `(λ² - |F|²)² - 8λ det F - 4|cof F|²`, which Newton's method
descends to from above (Markley 1993, J. Astronaut. Sci. 41). A proper rotation also where `F`
reflects, and no decomposition with derivatives that do not exist at `F = I`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_STEPS = 16  # of Newton's: 2 near a rotation, more where two singular values nearly cancel


def cofactors(matrix: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
    """`cof F`: `det F` times the inverse's transpose, also where there is no inverse."""
    rows = [jnp.cross(matrix[..., (i + 1) % 3, :], matrix[..., (i + 2) % 3, :]) for i in range(3)]
    return jnp.stack(rows, axis=-2)


def determinant(matrix: Float[Array, "*b 3 3"]) -> Float[Array, "*b"]:
    """`det F`."""
    across = jnp.cross(matrix[..., 1, :], matrix[..., 2, :])
    return jnp.sum(matrix[..., 0, :] * across, axis=-1)


def nearest_rotation(matrix: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
    """The `R` of determinant 1 that minimises `|F - R|`, for each `F`: `UVᵀ` of `F = UΣVᵀ` with the
    last column's sign as the determinant wants it. No gradient passes.

    Where there are several, as for a matrix of rank 1, some finite matrix.
    """
    matrix = jax.lax.stop_gradient(matrix)
    cofactor, det = cofactors(matrix), determinant(matrix)
    square = jnp.sum(matrix**2, axis=(-2, -1))
    adjoint_square = jnp.sum(cofactor**2, axis=(-2, -1))
    tiny = jnp.finfo(matrix.dtype).tiny

    def descend(_, root):
        value = (root**2 - square) ** 2 - 8 * root * det - 4 * adjoint_square
        slope = 4 * root * (root**2 - square) - 8 * det
        return root - jnp.where(slope > tiny, value / jnp.maximum(slope, tiny), 0)

    root = jax.lax.fori_loop(0, _STEPS, descend, jnp.sqrt(3 * square))
    kappa = 0.5 * (root**2 - square)
    scale = kappa * root - det
    third = jnp.einsum("...ij,...kj,...kl->...il", matrix, matrix, matrix, precision="highest")
    wide = lambda x: x[..., None, None]
    found = wide(kappa + square) * matrix + wide(root) * cofactor - third
    return found / wide(jnp.where(jnp.abs(scale) > tiny, scale, 1))
