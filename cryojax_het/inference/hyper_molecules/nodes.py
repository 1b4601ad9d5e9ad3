"""Belief on a latent that a volume is expanded in, on nodes over its whole range.

With the volumes `X_p` of the functions `T_p`, an image's statistics `G` and `b` among them (see
`linear_statistics`), `a = TᵀGT` and `b = T·b` at a node are all that the likelihood there depends
on, the contrast integrated out in closed form (`contrast_gain`): the posterior on the nodes is
exactly, whatever the number of modes. (Lederman, Andén & Singer 2020, Inverse Problems 36, draw
what is summed here.)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.image import Latents
from ...imaging.marginal import contrast_gain
from ...volumes.latent_functions.base import AbstractLatentFunctions, mean_and_covariance
from ..linear_statistics import LinearStatistics
from ..posterior import OnNodes


class Contrast(NamedTuple):
    """Mean `μ` and width `ρ` of the normal prior of an image's contrast; 0: known."""

    mean: Float[Array, ""]
    width: Float[Array, ""]


class Nodes(eqx.Module):
    """Latents `[g, d]` and values of the functions there `[g, p]`, even over the range."""

    latents: Float[Array, "g d"]
    values: Float[Array, "g p"]

    @classmethod
    def over(cls, functions: AbstractLatentFunctions, count: int) -> "Nodes":
        """`count` nodes along each axis."""
        latents = jnp.asarray(functions.nodes(count), jnp.result_type(float))
        return cls(latents, jax.vmap(functions)(latents))


class NodeBelief(eqx.Module):
    """Of each image: log weight of each node, normalised; what its contrast `c` and `h = T(τ)` are
    on average, `E[c h]` and `E[c² h hᵀ]`; contrast; `log p(y) - log p(y | no particle)`."""

    log_weight: Float[Array, "b g"]
    first: Float[Array, "b p"]
    second: Float[Array, "b p p"]
    contrast: Float[Array, " b"]
    log_likelihood: Float[Array, " b"]


def latent_moments(
    belief: NodeBelief, nodes: Nodes, functions: AbstractLatentFunctions
) -> tuple[Float[Array, "b d"], Float[Array, "b d d"]]:
    """Mean and covariance of each image's latent."""
    one = lambda weight: mean_and_covariance(functions, jnp.exp(weight), nodes.latents)
    return jax.vmap(one)(belief.log_weight)


def belief_on_nodes(statistics: LinearStatistics, nodes: Nodes, contrast: Contrast) -> NodeBelief:
    """The belief of each image, `[b]`, from its statistics among the volumes of all functions."""
    one = lambda gram, cross: _of_image(gram, cross, nodes.values, contrast)
    return NodeBelief(*jax.vmap(one)(statistics.gram, statistics.cross))


def on_nodes(
    belief: NodeBelief, nodes: Nodes, functions: AbstractLatentFunctions, latents: Latents
) -> OnNodes:
    """The belief as a posterior; `latents`: what the images came with, poses above all."""
    mean, covariance = latent_moments(belief, nodes, functions)
    latents = eqx.tree_at(lambda t: (t.conformation, t.contrast), latents, (mean, belief.contrast))
    return OnNodes(
        latents=latents,
        covariance=covariance,
        nodes=nodes.latents,
        log_weight=belief.log_weight,
        first=belief.first,
        second=belief.second,
        log_likelihood=belief.log_likelihood,
    )


class NodeDraw(NamedTuple):
    """A latent and a contrast of an image, and the values of the functions at the latent."""

    latent: Float[Array, "*b d"]
    contrast: Float[Array, "*b"]
    values: Float[Array, "*b p"]


def drawn_on_nodes(
    key: PRNGKeyArray,
    gram: Float[Array, "p p"],
    cross: Float[Array, " p"],
    nodes: Nodes,
    contrast: Contrast,
) -> NodeDraw:
    """One draw from the belief of one image, the contrast from its normal density at the node."""
    gain, amplitude, variance = _at_nodes(gram, cross, nodes.values, contrast)
    where, how = jax.random.split(key)
    chosen = jax.random.categorical(where, gain)
    step = jax.random.normal(how, (), gain.dtype)
    drawn = amplitude[chosen] + jnp.sqrt(variance[chosen]) * step
    return NodeDraw(nodes.latents[chosen], drawn, nodes.values[chosen])


def _of_image(gram, cross, values, contrast):
    gain, amplitude, variance = _at_nodes(gram, cross, values, contrast)
    total = jax.nn.logsumexp(gain)
    weight = jnp.exp(gain - total)
    square = amplitude**2 + variance
    first = jnp.matmul(weight * amplitude, values, precision="highest")
    second = jnp.matmul((weight * square) * values.T, values, precision="highest")
    return gain - total, first, second, weight @ amplitude, total - jnp.log(len(values))


def _at_nodes(gram, cross, values, contrast):
    """Gain in log-likelihood, mean and variance of the contrast, at each node."""
    mean, variance = contrast.mean, contrast.width**2
    along = jnp.matmul(values, cross, precision="highest")
    power = jnp.sum(values * jnp.matmul(values, gram, precision="highest"), axis=1)
    spread = 1 + variance * power
    gain = contrast_gain(power, along, contrast)
    return gain, (variance * along + mean) / spread, variance / spread
