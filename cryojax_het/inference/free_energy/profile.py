"""Free-energy profiles with their uncertainty, from chains."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from ..chain_diagnostics import bulk_size, r_hat, tail_size
from ..chain_gates import Gate
from .no_u_turn import NoUTurnSampler
from .path_models import AbstractPathModel, OnPath
from .priors import AbstractProfilePrior
from .reweighting import expectation_maximisation, mean_log_likelihood


@final
@dataclass(frozen=True, kw_only=True)
class FreeEnergyProfile:
    """Draws of the populations `p_m` of M nodes, chain by chain, and of the off-path share.

    Free energies are `F_m = -log p_m` in k_BT. Reported ones are over the least of their means: a
    constant, so that no draw's own minimum widens the band of another node.

    - `r_hat`, `bulk`, `tail`: of each `F_m`, and of the logarithm of the off-path odds where that
      was sampled, last; `divergences`: trajectories that ran away, of all chains.
    - `counts`: images that each node has in the mean, `N E[p_m]` less what is off the path.
    """

    population: Float[np.ndarray, "c n m"]
    off_path: Float[np.ndarray, "c n"]
    counts: Float[np.ndarray, " m"]
    r_hat: Float[np.ndarray, " q"]
    bulk: Float[np.ndarray, " q"]
    tail: Float[np.ndarray, " q"]
    divergences: int

    def draws(self) -> Float[np.ndarray, "s m"]:
        """`F - min_m mean F_m` of every draw."""
        flat = -np.log(self.population.reshape(-1, self.population.shape[-1]))
        return flat - flat.mean(axis=0).min()

    def mean(self) -> Float[np.ndarray, " m"]:
        """Posterior mean of the free energy; 0 at its minimum."""
        return self.draws().mean(axis=0)

    def band(self, share: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the interval of each node that holds `share` of its draws, tails alike."""
        low, high = np.quantile(self.draws(), ((1 - share) / 2, (1 + share) / 2), axis=0)
        return low, high

    @property
    def converged(self) -> bool:
        """R-hat and effective draws of every free energy as `Gate` wants them."""
        gate, least = Gate(), min(self.bulk.min(), self.tail.min())
        return bool(self.r_hat.max() < gate.r_hat and least >= gate.size)


def sample_profile(
    key: PRNGKeyArray, model: AbstractPathModel, sampler: NoUTurnSampler
) -> FreeEnergyProfile:
    """Sample the profile of a model of images. Raises `FloatingPointError` where chains break."""
    unknowns, population, share, diverged = jax.tree.map(np.asarray, _sampled(key, model, sampler))
    if not np.isfinite(population).all() or population.min() <= 0:
        raise FloatingPointError(
            "The chains of the free energy broke down: is every likelihood a number, and does any "
            "image tell the nodes apart?"
        )
    judged = -np.log(population.astype(np.float64))
    if model.size == model.nodes:  # the odds of the off-path share are unknown too
        judged = np.concatenate([judged, unknowns[..., -1:]], axis=-1)
    return FreeEnergyProfile(
        population=population.astype(np.float64),
        off_path=share.astype(np.float64),
        counts=len(model.ratio) * np.mean((1 - share[..., None]) * population, axis=(0, 1)),
        r_hat=r_hat(judged),
        bulk=bulk_size(judged),
        tail=tail_size(judged),
        divergences=int(diverged.sum()),
    )


@eqx.filter_jit
def _sampled(key, model: AbstractPathModel, sampler: NoUTurnSampler):
    chains = sampler.run(key, model.log_posterior, model.size)
    each = lambda f: jax.vmap(jax.vmap(f))(chains.unknowns)
    population = each(lambda u: jax.nn.softmax(-model.profile(u)))
    return chains.unknowns, population, each(model.off_path_share), chains.divergences


@final
@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The profile without one node.

    - `free_energy`: means of the others, NaN at the node itself; over their least;
    - `fall`: how much less probable the images are without it, in nats: what it is needed for.
    """

    node: int
    free_energy: Float[np.ndarray, " m"]
    fall: float


def leave_one_out(
    key: PRNGKeyArray,
    log_likelihood: Float[np.ndarray, "n m"],
    prior: AbstractProfilePrior,
    sampler: NoUTurnSampler,
) -> Iterator[LeftOut]:
    """Each node of a path left out in turn, all images on the path.

    Where the others change by more than their bands, the path's nodes are too few or too alike.
    `ValueError` for fewer than three nodes, or fewer than the prior is one of.
    """
    nodes = log_likelihood.shape[1]
    if nodes < 3:
        raise ValueError(f"Leaving one out takes three nodes or more. Got {nodes}.")
    prior.without(0).check(nodes - 1)
    whole = np.asarray(log_likelihood)
    for node in range(nodes):
        kept = np.delete(np.arange(nodes), node)
        model = OnPath.of(jnp.asarray(whole[:, kept]), prior.without(node))
        found = sample_profile(jax.random.fold_in(key, node), model, sampler)
        energy = np.full(nodes, np.nan)
        energy[kept] = found.mean()
        share = found.population.mean(axis=(0, 1))
        yield LeftOut(node=node, free_energy=energy, fall=_fall(whole, kept, share))


def _fall(log_likelihood, kept, share) -> float:
    """Best of all nodes less best of those kept; both by EM from the same start."""
    even = np.full(log_likelihood.shape[1], 1 / log_likelihood.shape[1])
    best = expectation_maximisation(jnp.asarray(log_likelihood), jnp.asarray(even))
    part = expectation_maximisation(
        jnp.asarray(log_likelihood[:, kept]), jnp.asarray(share / share.sum())
    )
    score = lambda columns, p: float(mean_log_likelihood(jnp.asarray(columns), p))
    gain = score(log_likelihood, best) - score(log_likelihood[:, kept], part)
    return len(log_likelihood) * gain
