"""Exact EM for a hyper-molecule of few coefficients, latents unknown.

E: the belief of each image on nodes of the latent. M: with its moments `E[T]`, `E[T Tᵀ]`,

    (Σ_i E[T Tᵀ]_i ⊗ G_i + Λ) a = Σ_i E[T]_i ⊗ h_i

by Cholesky. From random latents, a full expansion finds folded solutions; with few functions first
and more of them later, it does not. (Lederman & Singer 2017, arXiv:1704.02899, fit by gradients
what is solved for here.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ...volumes.latent_functions.base import AbstractLatentFunctions
from ...volumes.prolate.spatial_basis import AbstractSpatialBasis
from ..linear_statistics import LinearStatistics
from .image_equations import ImageEquations
from .nodes import Contrast, NodeBelief, Nodes, belief_on_nodes

NODES = 41  # along each axis


class Rise(NamedTuple):
    """So many iterations with the functions up to this order."""

    order: int
    iterations: int


COURSE = (Rise(1, 15), Rise(2, 7), Rise(3, 20))


class Fitted(NamedTuple):
    """Coefficients `[k, p]`, the belief that they lead to, its nodes, and `log p(y) - log p(y | no
    particle) + log prior` before each iteration."""

    coefficients: Float[Array, "k p"]
    belief: NodeBelief
    nodes: Nodes
    objective: Float[np.ndarray, " i"]


class ExactEM(eqx.Module):
    """`basis` in space, `functions` of the latent, prior variances `[k, p]` of coefficients.

    Where a variance is 0 the coefficient is: a composite molecule is one whose regions have no
    coefficients of other regions' latents.
    """

    basis: AbstractSpatialBasis
    functions: AbstractLatentFunctions
    variance: Float[Array, "k p"]
    contrast: Contrast

    def up_to(self, order: int) -> "ExactEM":
        """With the functions up to this order alone."""
        kept = self.variance * (self.functions.orders() <= order)
        return eqx.tree_at(lambda em: em.variance, self, kept)

    def fit(
        self,
        equations: ImageEquations,
        start: Float[Array, "k p"],
        course: Sequence[Rise] = COURSE,
        nodes: int = NODES,
    ) -> Fitted:
        """From coefficients `start`; `nodes`: along each axis of the latent."""
        a, trace, grid = start, [], Nodes.over(self.functions, nodes)
        for rise in course:
            em = self.up_to(rise.order)
            for _ in range(rise.iterations):
                a, value = _iterated(em, equations, a, grid)
                trace.append(float(value))
        return Fitted(a, _believed(self, equations, a, grid), grid, np.array(trace))

    def belief(
        self, equations: ImageEquations, coefficients: Float[Array, "k p"], nodes: Nodes
    ) -> NodeBelief:
        """The E-step."""
        return belief_on_nodes(self.statistics(equations, coefficients), nodes, self.contrast)

    def statistics(
        self, equations: ImageEquations, coefficients: Float[Array, "k p"]
    ) -> LinearStatistics:
        """What images say of the volumes of all functions of the latent."""
        return equations.statistics([coefficients[rows] for rows in self.basis.blocks()])

    def coefficients(
        self,
        equations: ImageEquations,
        moments: tuple[Float[Array, "b p"], Float[Array, "b p p"]],
    ) -> Float[Array, "k p"]:
        """The M-step."""
        found = jnp.zeros_like(self.variance)
        blocks = zip(equations.gram, equations.right, self.basis.blocks(), strict=True)
        for gram, right, rows in blocks:
            found = found.at[rows].set(_solved(gram, right, moments, self.variance[rows]))
        return found

    def log_prior(self, coefficients: Float[Array, "k p"]) -> Float[Array, ""]:
        """Up to a constant."""
        free = self.variance > 0
        return -0.5 * jnp.sum(
            jnp.where(free, coefficients**2 / jnp.where(free, self.variance, 1), 0)
        )

    def from_latents(
        self, equations: ImageEquations, latents: Float[Array, "b d"]
    ) -> Float[Array, "k p"]:
        """Coefficients, were these the latents."""
        values = jax.vmap(self.functions)(latents)
        mean = self.contrast.mean
        moments = mean * values, mean**2 * values[:, :, None] * values[:, None]
        return _solve(self, equations, moments)

    def random_start(
        self, key: PRNGKeyArray, equations: ImageEquations, order: int = 1
    ) -> Float[Array, "k p"]:
        """Coefficients up to an order from latents drawn at random."""
        shape = (len(equations.power), self.functions.latent_size)
        latents = jax.random.uniform(key, shape, self.variance.dtype, -1, 1)
        return self.up_to(order).from_latents(equations, latents)


@eqx.filter_jit
def _iterated(em: ExactEM, equations, a, nodes):
    belief = em.belief(equations, a, nodes)
    value = belief.log_likelihood.sum() + em.log_prior(a)
    return em.coefficients(equations, (belief.first, belief.second)), value


@eqx.filter_jit
def _believed(em: ExactEM, equations, a, nodes):
    return em.belief(equations, a, nodes)


@eqx.filter_jit
def _solve(em: ExactEM, equations, moments):
    return em.coefficients(equations, moments)


def _solved(gram, right, moments, variance):
    """Of one block: `[k, p]`."""
    system, side, width = normal_system(gram, right, moments, variance)
    factor = jnp.linalg.cholesky(system)
    found = width * jax.scipy.linalg.cho_solve((factor, True), side)
    return found.reshape(variance.shape[1], -1).T


def normal_system(
    gram: Float[Array, "b k k"],
    right: Float[Array, "b k"],
    moments: tuple[Float[Array, "b p"], Float[Array, "b p p"]],
    variance: Float[Array, "k p"],
) -> tuple[Float[Array, "n n"], Float[Array, " n"], Float[Array, " n"]]:
    """Matrix and right-hand side of the coefficients of one block, over functions of the latent and
    then of space, in units of their prior's widths, the third that is returned."""
    first, second = moments
    count, size = first.shape[1], right.shape[1]
    rows, columns = np.triu_indices(count)
    flat = gram.reshape(len(gram), -1)
    sums = jnp.matmul(second[:, rows, columns].T, flat, precision="highest")
    place = np.zeros((count, count), int)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    system = sums.reshape(-1, size, size)[place]  # [p, q, k, l]
    width = jnp.sqrt(variance).T.reshape(-1)
    system = jnp.moveaxis(system, 2, 1).reshape(count * size, -1) * width[:, None] * width
    side = jnp.matmul(first.T, right, precision="highest").reshape(-1) * width
    return system + jnp.eye(len(width), dtype=system.dtype), side, width
