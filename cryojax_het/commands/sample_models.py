"""Models that can be sampled: what each kind of run says of volume, noise and priors.

A new kind is one more function in `MODELS`, by the `volume` of the run's settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..analysis.expanded_maps import expanded_maps
from ..analysis.map_series import linear_maps
from ..imaging.noise import ColouredNoise
from ..inference.gibbs.block import AbstractBlock
from ..inference.gibbs.noise_power import POWER, ColouredNoisePower
from ..inference.joint import Joint, choose
from ..inference.model import Model
from ..inference.parameter_prior import AbstractParameterPrior, InverseGammaPower
from ..inference.posteriors.as_given import AsGiven
from ..inference.posteriors.chosen_unknowns import ChosenUnknowns
from ..inference.prior import LocalPrior
from ..results.mixture_store import load_mixture
from ..results.neural_field_store import load_neural_field
from ..volumes.base import AbstractVolume
from ..volumes.normal_latents import NormalLatents
from .fit import MIXTURES, NEURAL_FIELDS
from .sample import SampleConfig
from .volume_run import FittedRun

_SHAPE = 2.0  # of the noise's prior: one that any image outweighs


@final
@dataclass(frozen=True)
class SampledVolume:
    """A volume, and what of it is unknown: priors by path, and the blocks that move them."""

    volume: AbstractVolume
    priors: Mapping[str, AbstractParameterPrior]
    blocks: tuple[AbstractBlock, ...]


def _mixture(run: FittedRun) -> SampledVolume:
    return SampledVolume(load_mixture(run.folder).volume, {}, ())


def _linear(run: FittedRun) -> SampledVolume:
    return SampledVolume(linear_maps(run.folder).volume(run.mask()), {}, ())


def _prolate(run: FittedRun) -> SampledVolume:
    """In latents that are standard normal where the model's are even over their range."""
    return SampledVolume(NormalLatents(expanded_maps(run.folder).volume(run.mask())), {}, ())


def _neural_field(run: FittedRun) -> SampledVolume:
    return SampledVolume(load_neural_field(run.folder), {}, ())


MODELS: Mapping[str, Callable[[FittedRun], SampledVolume]] = {
    "linear": _linear,
    "prolate": _prolate,
    **dict.fromkeys(MIXTURES, _mixture),
    **dict.fromkeys(NEURAL_FIELDS, _neural_field),
}


def sampled_model(run: FittedRun, config: SampleConfig) -> tuple[Joint, tuple[AbstractBlock, ...]]:
    """The joint density of the run's model, and blocks for all but the latents of images.

    `ValueError` where the kind of the run cannot be sampled.
    """
    kind = run.folder.config().get("volume", "none")
    if kind not in MODELS:
        raise ValueError(
            f"{run.folder.path}: a model of the kind {kind!r} cannot be sampled here; known: "
            f"{', '.join(MODELS)}."
        )
    made = MODELS[kind](run)
    real = lambda x: jnp.asarray(x, jnp.result_type(float))
    noise = ColouredNoise(real(run.noise()))
    poses = (real(np.deg2rad(config.angle)), real(config.shift))
    prior = LocalPrior(*poses, real(1.0), real(config.contrast))
    cast = lambda x: real(x) if eqx.is_inexact_array(x) else x
    model = Model(jax.tree.map(cast, made.volume), noise, prior, AsGiven())
    priors, blocks = dict(made.priors), made.blocks
    if "noise" in config.unknowns:
        priors[POWER] = InverseGammaPower(real(_SHAPE), _SHAPE * noise.power)
        blocks = (*blocks, ColouredNoisePower(*noise.power.shape))
    joint = Joint(model, choose(model, *priors), priors, chosen_unknowns(config))
    return joint, blocks


def chosen_unknowns(config: SampleConfig) -> ChosenUnknowns:
    """The latents among what is sampled."""
    wanted = config.unknowns
    return ChosenUnknowns(
        "conformation" in wanted, "pose" in wanted, "shift" in wanted, "contrast" in wanted
    )
