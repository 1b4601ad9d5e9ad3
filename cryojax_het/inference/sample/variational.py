"""Variational densities of a joint model: low rank on the parameters, each image for itself."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro
import optax
from jaxtyping import Array, Float, PRNGKeyArray
from numpyro.infer import SVI, RenyiELBO, Trace_ELBO
from numpyro.infer.autoguide import (
    AutoGuideList,
    AutoLowRankMultivariateNormal,
    AutoNormal,
)
from numpyro.infer.initialization import init_to_value

from .chains import Positions
from .model import LATENTS, PLATE, NumpyroModel


class Bounds(NamedTuple):
    """Lower bounds of `log p(y)`: the variational one, and the importance-weighted one of `draws`,
    which is nearer. Their gap tells how far the density is from the posterior, at least."""

    evidence: Float[Array, ""]
    weighted: Float[Array, ""]


class Fitted(NamedTuple):
    """A fitted variational density: losses of the steps, bounds, draws of all sites."""

    losses: Float[Array, " t"]
    bounds: Bounds
    draws: Positions


def fitted(
    key: PRNGKeyArray,
    model: NumpyroModel,
    given: tuple,
    start: Positions,
    *,
    rank: int = 5,
    steps: int = 2000,
    rate: float = 1e-2,
    draws: int = 1000,
) -> Fitted:
    """The density nearest to the posterior of `model(*given)` among

        N(θ; μ, D + W Wᵀ) Π_i N(v_i; m_i, diag s_i²)

    by Adam on the evidence bound of one draw a step. (Kingma & Welling 2014; Burda, Grosse &
    Salakhutdinov 2016 for the weighted bound, both Proc. ICLR.)

    - `start`: unconstrained values of the sites; `rank` of `W`;
    - `rate`: falls to a hundredth of itself over the steps; `draws`: also those of the bounds.
    """
    guide = _guide(model, start, rank)
    schedule = optax.exponential_decay(rate, steps, 0.01)
    svi = SVI(model, guide, optax.adam(schedule), Trace_ELBO())
    keys = jax.random.split(key, 4)
    ran = svi.run(keys[0], steps, *given, progress_bar=False)
    bound = lambda loss, key: -loss.loss(key, ran.params, model, guide, *given)
    bounds = Bounds(
        jnp.asarray(bound(Trace_ELBO(num_particles=draws), keys[1])),
        jnp.asarray(bound(RenyiELBO(alpha=0, num_particles=draws), keys[2])),
    )
    sampled = guide.sample_posterior(keys[3], ran.params, sample_shape=(draws,))
    return Fitted(ran.losses, bounds, sampled)


def _guide(model: NumpyroModel, start: Positions, rank: int) -> AutoGuideList:
    guide, seeded = AutoGuideList(model), numpyro.handlers.seed(model, rng_seed=0)
    here = init_to_value(values=start)
    part = lambda names: numpyro.handlers.block(seeded, expose=names)
    shared = [name for name in start if name != LATENTS]
    if shared:
        guide.append(AutoLowRankMultivariateNormal(part(shared), rank=rank, init_loc_fn=here))
    if LATENTS in start:
        guide.append(AutoNormal(part([LATENTS, PLATE]), init_loc_fn=here))
    return guide
