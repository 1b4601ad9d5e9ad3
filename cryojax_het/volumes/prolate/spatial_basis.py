"""The interface of functions of space that coefficients of a volume belong to."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float


class AbstractSpatialBasis(eqx.Module):
    """Functions `ψ_k` of which transforms are known in closed form."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """Number of functions."""

    @abc.abstractmethod
    def transform(
        self, coefficients: Float[Array, "k p"], points: Float[Array, "f 3"]
    ) -> Complex[Array, "f p"]:
        """`Σ_k a_kp ψ̂_k` at frequencies `points`, 1/Å."""

    @abc.abstractmethod
    def mean_frequencies(self) -> Float[Array, " k"]:
        """Mean of `|k|`, 1/Å, over the energy of each function in its band."""

    @abc.abstractmethod
    def blocks(self) -> tuple[np.ndarray, ...]:
        """Places of functions that no normal equations of a slice mix with others."""

    @abc.abstractmethod
    def normal(
        self, points: Float[Array, "f 3"], weight: Float[Array, " f"], right: Complex[Array, " f"]
    ) -> tuple[tuple[Float[Array, "_ _"], ...], tuple[Float[Array, " _"], ...]]:
        """`Re Σ_f ψ̂*_k w ψ̂_l` and `Re Σ_f ψ̂*_k right` of each block."""


def products(
    columns: Float[Array, "f k"], weight: Float[Array, " f"], right: Float[Array, " f"]
) -> tuple[Float[Array, "k k"], Float[Array, " k"]]:
    """`Xᵀ w X` and `Xᵀ right`."""
    gram = jnp.matmul(columns.T, weight[:, None] * columns, precision="highest")
    return gram, jnp.matmul(right, columns, precision="highest")
