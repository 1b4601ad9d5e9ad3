"""All that is shared between images."""

import equinox as eqx

from ..imaging.noise import AbstractNoise
from ..volumes.base import AbstractVolume
from .posterior import AbstractPosterior
from .prior import AbstractPrior


class Model(eqx.Module):
    """A volume, how images scatter about its projections, and how latents are inferred."""

    volume: AbstractVolume
    noise: AbstractNoise
    prior: AbstractPrior
    posterior: AbstractPosterior
