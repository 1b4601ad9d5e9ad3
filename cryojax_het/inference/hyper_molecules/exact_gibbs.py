"""Gibbs sampling of a hyper-molecule of few coefficients: coefficients, latents, contrasts, noise.

In turn, each exactly from its density given the rest: the latent of every image on nodes and its
contrast, all coefficients from their normal density by Cholesky, the noise's variance from its
inverse gamma. No step size, no rejection. (Lederman, Andén & Singer 2020, Inverse Problems 36, for
the model; there, coefficients move by gradients.)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..linear_statistics import LinearStatistics
from .exact_em import ExactEM, normal_system
from .image_equations import ImageEquations
from .nodes import NodeDraw, Nodes, drawn_on_nodes


class GibbsDraw(NamedTuple):
    """Coefficients; latents and contrasts of all images; `v`, by which the variance of the noise
    that the equations were made with is multiplied."""

    coefficients: Float[Array, "*s k p"]
    latents: Float[Array, "*s b d"]
    contrast: Float[Array, "*s b"]
    variance: Float[Array, "*s"]


class ExactGibbs(eqx.Module):
    """Basis, functions, prior variances and contrast of `em`; `v ~ InvGamma(shape, shape)`.

    - `nodes`: where latents are drawn;
    - `numbers`: of an image, that its noise has: its pixels.
    """

    em: ExactEM
    nodes: Nodes
    shape: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    numbers: int = eqx.field(static=True)

    def run(
        self, key: PRNGKeyArray, equations: ImageEquations, start: Float[Array, "k p"], count: int
    ) -> GibbsDraw:
        """`count` sweeps from coefficients `start` and the noise as given, a draw each."""

        def body(held, key):
            found, statistics = self.sweep(key, equations, *held)
            return (statistics, found.variance), found

        begin = self.em.statistics(equations, start), jnp.ones((), start.dtype)
        return jax.lax.scan(body, begin, jax.random.split(key, count))[1]

    def sweep(
        self,
        key: PRNGKeyArray,
        equations: ImageEquations,
        statistics: LinearStatistics,
        variance: Float[Array, ""],
    ) -> tuple[GibbsDraw, LinearStatistics]:
        """Latents and contrasts, then coefficients, then the noise; from what images say of the
        coefficients before to what they say of those drawn."""
        keys = jax.random.split(key, 3)
        drawn = self._latents(keys[0], statistics, variance)
        weighted = drawn.contrast[:, None] * drawn.values
        a = self._coefficients(keys[1], equations, weighted, variance)
        found = self.em.statistics(equations, a)
        v = self._variance(keys[2], found, weighted)
        return GibbsDraw(a, drawn.latent, drawn.contrast, v), found

    def _latents(self, key, found, variance) -> NodeDraw:
        one = lambda key, gram, cross: drawn_on_nodes(
            key, gram / variance, cross / variance, self.nodes, self.em.contrast
        )
        return jax.vmap(one)(jax.random.split(key, len(found.power)), found.gram, found.cross)

    def _coefficients(self, key, equations, weighted, variance):
        moments = weighted / variance, weighted[:, :, None] * weighted[:, None] / variance
        found = jnp.zeros_like(self.em.variance)
        blocks = zip(equations.gram, equations.right, self.em.basis.blocks(), strict=True)
        for number, (gram, right, rows) in enumerate(blocks):
            own = self.em.variance[rows]
            system, side, width = normal_system(gram, right, moments, own)
            factor = jnp.linalg.cholesky(system)
            noise = jax.random.normal(jax.random.fold_in(key, number), side.shape, side.dtype)
            solve = jax.scipy.linalg.solve_triangular
            half = solve(factor, side, lower=True) + noise
            drawn = width * solve(factor, half, lower=True, trans="T")
            found = found.at[rows].set(drawn.reshape(own.shape[1], -1).T)
        return found

    def _variance(self, key, found, weighted):
        cross = jnp.sum(weighted * found.cross)
        square = jnp.einsum("bp,bpq,bq->", weighted, found.gram, weighted, precision="highest")
        misfit = jnp.sum(found.power) - 2 * cross + square
        shape = self.shape + 0.5 * self.numbers * len(weighted)
        return (self.shape + 0.5 * misfit) / jax.random.gamma(key, shape, dtype=misfit.dtype)
