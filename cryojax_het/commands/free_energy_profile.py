"""From likelihoods to a profile with bands: the prior by name, chains, and what checks them."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..inference.free_energy.no_u_turn import NoUTurnSampler
from ..inference.free_energy.path_models import AbstractPathModel, OnPath, WithOffPath
from ..inference.free_energy.priors import (
    AbstractProfilePrior,
    DirichletPrior,
    EntropicPrior,
    PublishedPrior,
    RandomWalkPrior,
)
from ..inference.free_energy.profile import (
    FreeEnergyProfile,
    LeftOut,
    leave_one_out,
    sample_profile,
)
from ..inference.free_energy.reweighting import (
    EntropicWeights,
    cross_validated,
    hard_assignment,
    node_entropy,
)
from .free_energy import FreeEnergyConfig
from .free_energy_nodes import NodePath

# Of the weights found beforehand, and the number of images.
MakePrior = Callable[[EntropicWeights, int], AbstractProfilePrior]

_STRENGTHS = np.logspace(-4, 0.5, 10)
_QUICK = {"chains": 2, "warmup": 300, "draws": 300}  # of a mean without a node


@final
@dataclass(frozen=True, kw_only=True)
class FoundProfile:
    """A profile, and what is told beside it.

    - `weights`: the most probable populations, by expectation-maximisation under the entropic
      prior; `histogram`: shares of hard assignment; `spread`: nodes that an image is spread over.
    """

    profile: FreeEnergyProfile
    left_out: list[LeftOut]
    weights: EntropicWeights
    histogram: Float[np.ndarray, " m"]
    spread: float


def prior_of(config: FreeEnergyConfig, nodes: int) -> MakePrior:
    """The prior that the settings name, of the weights found beforehand and the images; checked
    against the path before any work. `ValueError`, `FileNotFoundError`."""
    counts = _counts(config.counts, nodes)
    kinds: Mapping[str, MakePrior] = {
        "random-walk": lambda weights, images: RandomWalkPrior(),
        "published": lambda weights, images: PublishedPrior(),
        "dirichlet": lambda weights, images: DirichletPrior(counts),
        "entropic": lambda weights, images: EntropicPrior(counts, weights.strength * images),
    }
    make = kinds[config.prior]
    even = np.full(nodes, 1 / nodes)
    nothing = np.zeros(1)
    some = EntropicWeights(
        population=even, strength=1.0, strengths=nothing, held_out=nothing, uncertainty=nothing
    )
    make(some, 1).check(nodes)
    return make


def found_profile(
    config: FreeEnergyConfig,
    path: NodePath,
    make: MakePrior,
    log_likelihood: Float[np.ndarray, "n k"],
) -> FoundProfile:
    """Sample the profile, and leave nodes out in turn where that is wanted and can be done."""
    on, beyond = np.split(log_likelihood, [path.nodes], axis=1)
    strengths = _STRENGTHS if config.strength is None else np.array([config.strength])
    counts = np.asarray(_counts(config.counts, path.nodes), np.float64)
    folds = min(5, len(on))
    weights = cross_validated(on, counts / counts.sum(), strengths, folds, config.seed)
    prior = make(weights, len(on))
    sampler = NoUTurnSampler(chains=config.chains, warmup=config.warmup, draws=config.draws)
    key = jax.random.key(config.seed)
    profile = sample_profile(key, _model(on, beyond, prior), sampler)
    population = profile.population.mean(axis=(0, 1))
    return FoundProfile(
        profile=profile,
        left_out=_left_out(config, key, on, prior),
        weights=weights,
        histogram=hard_assignment(on),
        spread=float(np.exp(node_entropy(on, population).mean())),
    )


def _model(on, beyond, prior) -> AbstractPathModel:
    if not beyond.shape[1]:
        return OnPath.of(jnp.asarray(on), prior)
    null = jax.nn.logsumexp(jnp.asarray(beyond), axis=1) - np.log(beyond.shape[1])
    return WithOffPath.of(jnp.asarray(on), null, prior)


def _left_out(config, key, on, prior) -> list[LeftOut]:
    from tqdm import tqdm

    nodes = on.shape[1]
    try:
        prior.without(0).check(nodes - 1)
        enough = nodes > 2
    except ValueError:  # the prior is not one of a node less
        enough = False
    if not config.leave_one_out or not enough:
        return []
    each = leave_one_out(key, on, prior, NoUTurnSampler(**_QUICK))
    return list(tqdm(each, total=nodes, desc="one node left out", unit=" nodes", file=sys.stderr))


def _counts(path: Path | None, nodes: int):
    if path is None:
        return jnp.ones(nodes, jnp.float32)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give counts by a .npy or text file.")
    held = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path)
    return jnp.asarray(np.atleast_1d(held), jnp.float32)
