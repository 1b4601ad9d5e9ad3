"""Two ways to solve least squares for a voxel volume, interchangeable in `LeastSquares`."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...volumes.kernel import Kernel
from . import toeplitz, wiener
from .conjugate_gradients import Stopping
from .normal_equations import NormalEquations
from .toeplitz import AbstractSupport, ExactEquations, WholeBox

Equations = NormalEquations | ExactEquations


class AbstractMethod(eqx.Module):
    """What is summed over images, and how a volume comes of it."""

    @abc.abstractmethod
    def zeros(self, size: int, spacing: Float[Array, ""], kernel: Kernel) -> Equations:
        """The sums before any image. `ValueError` where their tables are too large to index."""

    @abc.abstractmethod
    def solve(self, equations, prior: Float[Array, " s"]) -> Float[Array, "n n n"]:
        """The volume; `prior` is `1/(τ²⟨L⟩)` per shell, the noise-to-signal ratio."""

    @abc.abstractmethod
    def without_prior(self, equations) -> Float[Array, "n n n"]:
        """The volume for a half-map: unfiltered, for an FSC."""

    @abc.abstractmethod
    def table_bytes(self, size: int, kernel: Kernel) -> float:
        """Memory of the sums of one half-set on one device."""


class Diagonal(AbstractMethod):
    """`B / (L + 1/τ²)`: one division. Right where the CTF varies slowly from cell to cell, so
    resolution is as good as the exact one's, and amplitudes near the origin are not."""

    def zeros(self, size, spacing, kernel):
        return NormalEquations.zeros(size, spacing, kernel)

    def solve(self, equations, prior):
        return wiener.solve(equations, prior)

    def without_prior(self, equations):
        return wiener.solve(equations, jnp.zeros(equations.size // 2 + 1, equations.table.dtype))

    def table_bytes(self, size, kernel):
        return 6.0 * kernel.padded_size(size) ** 3


class Exact(AbstractMethod):
    """The normal operator as a convolution on twice the box, by conjugate gradients."""

    support: AbstractSupport = WholeBox()
    stopping: Stopping = Stopping()

    def zeros(self, size, spacing, kernel):
        return ExactEquations.zeros(size, spacing, kernel)

    def solve(self, equations, prior):
        return toeplitz.solve(equations, prior, self.support, self.stopping)

    def without_prior(self, equations):
        """The diagonal one: without a prior the exact solution follows the noise into directions
        that the views hardly determine, and its FSC is no better."""
        return Diagonal().without_prior(equations.diagonal)

    def table_bytes(self, size, kernel):
        return (6.0 + 16.0) * kernel.padded_size(size) ** 3
