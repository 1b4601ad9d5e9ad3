"""Where chains of every image begin, and what they may jump to: from a grid, or from descents."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..joint import Parameters
from ..marginal_latents import LatentNodes
from ..posteriors.draws import Start
from ..posteriors.gauss_newton import GaussNewton
from ..sampling.mixture import StudentMixture
from .block import World

_BROAD = 0.1  # share of the prior in what is proposed


class Starts(eqx.Module):
    """Of every image: where chains begin `[c, n, p]`, the mixture for jumps `[n]`, variances for
    masses `[n, p]`."""

    begin: Float[Array, "*c p"]
    mixture: StudentMixture
    variance: Float[Array, "*n p"]


def starts_from_grid(
    key: PRNGKeyArray,
    world: World,
    values: Parameters,
    nodes: LatentNodes,
    kept: int,
    chains: int,
) -> Starts:
    """From the posterior of every image on `nodes`, under the parameters `values`.

    Its `kept` likeliest points, each as wide as their distance, make nine tenths of the mixture;
    the rest is as wide as the prior.
    """
    model, batch = world.joint.prepared(values, world.grid), world.batch

    def image(index, data, widths):
        weight = nodes.log_joint(world.joint, model, data, widths, world.grid)
        log_weight, best = jax.lax.top_k(weight, min(kept, len(weight)))
        points = widths.centre + nodes.points[best]
        mixture = _with_prior(log_weight, points, jnp.diag(nodes.step**2), widths.centre)
        keys = jax.random.split(jax.random.fold_in(key, index), chains)
        begin = jax.vmap(mixture.sample)(keys)
        share = jax.nn.softmax(log_weight)
        mean = share @ points
        variance = share @ (points - mean) ** 2 + (nodes.step / 2) ** 2
        return Starts(begin, mixture, jnp.minimum(variance, 1))

    data = batch.images, batch.latents, batch.optics
    found = jax.vmap(image)(batch.index, data, world.widths)
    return eqx.tree_at(lambda s: s.begin, found, jnp.swapaxes(found.begin, 0, 1))


def starts_from_modes(
    key: PRNGKeyArray, world: World, values: Parameters, method: GaussNewton, chains: int
) -> Starts:
    """From the modes that damped Gauss-Newton finds, under the parameters `values`; its unknowns
    are replaced by those of the joint density."""
    joint, grid = world.joint, world.grid
    method = eqx.tree_at(lambda m: m.unknowns, method, joint.unknowns)
    model = joint.prepared(values, grid)
    modes = method.modes(model.volume, model.noise, model.prior, world.batch, grid)

    def image(index, data, widths, modes):
        objective = joint.image(model, data, widths, grid)
        start = Start.of(jax.random.fold_in(key, index), objective, modes, chains)
        return Starts(start.begin, start.mixture, start.variance)

    data = world.batch.images, world.batch.latents, world.batch.optics
    found = jax.vmap(image)(world.batch.index, data, world.widths, modes)
    return eqx.tree_at(lambda s: s.begin, found, jnp.swapaxes(found.begin, 0, 1))


def _with_prior(log_weight, points, covariance, centre) -> StudentMixture:
    p = points.shape[1]
    shares = jax.nn.log_softmax(log_weight) + jnp.log1p(-_BROAD)
    each = jnp.broadcast_to(covariance, (len(points), p, p))
    return StudentMixture.of(
        jnp.append(shares, jnp.log(_BROAD)),
        jnp.concatenate([points, centre[None]]),
        jnp.concatenate([each, jnp.eye(p, dtype=points.dtype)[None]]),
    )
