"""Modes of a posterior as normal beliefs: where descents start, which ends count, and what each
weighs.

Each mode is weighted by Laplace's approximation of its share of the evidence,

    log w_h = log p(y, u_h) + ½ p log 2π - ½ log det H_h ,

`H_h` all second derivatives of `-log p(y, u)`. Where it is not positive definite the descent rests
on a saddle, as it does at `z = 0` between `z` and `-z`: no mode.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ...imaging.image import Latents
from ..posterior import Hypotheses
from ..symmetric_eigen import symmetric_eigen
from .levenberg_marquardt import Rest, minimise
from .scaled_objective import ScaledObjective

_SAME = 1.0  # squared distance in posterior widths below which two ends are one mode
_MOVING = 0.1  # nats: a start that could still gain more has not arrived
_SOFTEST = 1e-3  # curvature, in units of the prior's, below which there is none


class Modes(eqx.Module):
    """Modes of the posterior of each image, the weightiest first.

    - `latents` `[b, h]`, where each lies;
    - `log_evidence`: of each, `log p(y)` being the logarithm of their sum up to a constant of the
      prior; `-inf` for starts that ended in a mode already counted, on a saddle, or nowhere;
    - `covariance`: of the unknowns about each, in their order (conformation, rotation vector,
      shift, contrast, as far as inferred) and units.
    """

    latents: Latents
    log_evidence: Float[Array, "b h"]
    covariance: Float[Array, "b h p p"]

    def hypotheses(self) -> Hypotheses:
        """The mixture over conformations: weighted normal densities, each at its own pose."""
        d = self.latents.conformation.shape[-1]
        weight = jax.nn.log_softmax(self.log_evidence, axis=1)
        return Hypotheses(self.latents, weight, self.covariance[..., :d, :d])


def descended(problem: ScaledObjective, q: Float[Array, " d"], steps: int) -> Rest:
    """From conformation `q` in widths of the prior about its centre; NaN: from the batch's."""
    d = len(q)
    given = jnp.zeros_like(problem.scale)
    first = given.at[:d].set(jnp.where(jnp.isnan(q), 0, problem.centre[:d] + q))
    return minimise(problem.residual, problem.penalty, first, steps)


def ranked(problem: ScaledObjective, rests: Rest):
    """Latents, evidence and covariance of each mode of one image, the weightiest first."""
    rests, is_minimum = _to_second_order(problem, rests)
    values, vectors = jax.vmap(symmetric_eigen)(rests.curvature)
    values = jnp.maximum(values, _SOFTEST)
    image = problem.data[0]
    constant = problem.noise.log_prob(image, image, problem.grid)
    constant = constant + jnp.sum(jnp.log(problem.scale * np.sqrt(2 * np.pi)))
    evidence = constant - rests.value - 0.5 * jnp.sum(jnp.log(values), axis=1)
    evidence = jnp.where(counted(rests, is_minimum), evidence, -jnp.inf)
    scaled = vectors * problem.scale[:, None]
    covariance = jnp.einsum("hik,hk,hjk->hij", scaled, 1 / values, scaled, precision="highest")
    latents = jax.vmap(problem.latents)(rests.point)
    order = jnp.argsort(-evidence)
    return jax.tree.map(lambda x: x[order], (latents, evidence, covariance))


def _to_second_order(problem: ScaledObjective, rests: Rest):
    """The ends with all second derivatives for curvature where those are positive definite, and
    whether they are."""
    bend = jax.vmap(jax.hessian(problem.objective))(rests.point)
    is_minimum = jnp.all(jax.vmap(symmetric_eigen)(bend)[0] > 0, axis=1)
    curvature = jnp.where(is_minimum[:, None, None], bend, rests.curvature)
    return rests._replace(curvature=curvature), is_minimum


def counted(rests: Rest, is_minimum: Bool[Array, " h"]) -> Bool[Array, " h"]:
    """Whether each end is a mode of its own: the best always is, others where they came to rest
    in a minimum and no better one lies within its own width."""
    squared, place = _distances(rests)
    repeated = jnp.any((squared < _SAME) & (place[:, None] < place), axis=0)
    return (place == 0) | (~repeated & is_minimum & (rests.promise < _MOVING))


def _distances(rests: Rest):
    """Squared, of end `h` from end `g` in the widths of `g`; and the place of each by value."""
    away = rests.point[:, None] - rests.point
    squared = jnp.einsum("ghi,gij,ghj->gh", away, rests.curvature, away, precision="highest")
    return squared, jnp.argsort(jnp.argsort(rests.value))


def spread(count: int, size: int) -> Float[Array, "h d"]:
    """NaN first (no conformation of our own), then points spread like a standard normal: an
    additive sequence that fills the cube evenly (Roberts 2018), through the normal's quantiles."""
    from scipy.special import ndtri

    if size == 0:
        return jnp.zeros((1, 0))
    root = 2.0
    for _ in range(60):  # the real root above 1 of x^(d+1) = x + 1
        root = (1 + root) ** (1 / (size + 1))
    steps = root ** -np.arange(1.0, size + 1)
    points = ndtri((0.5 + np.arange(1, count)[:, None] * steps) % 1)
    return jnp.asarray(np.concatenate([np.full((1, size), np.nan), points]))


def best_ends(rests: Rest, count: int) -> Float[Array, "k p"]:
    """Where the `count` lowest ends lie, those that repeat a lower one after all others."""
    squared, place = _distances(rests)
    repeated = jnp.any((squared < _SAME) & (place[:, None] < place), axis=0)
    order = jnp.argsort(place + len(place) * repeated)
    return rests.point[order[:count]]
