"""The units of what an encoder sees of the score, measured on images."""

import equinox as eqx

from ..inference.encoders.encoded import Encoded
from ..inference.encoders.score_gradient import ScoreGradientEncoder, measured
from ..inference.model import Model
from ..volumes.displaced import DisplacedMixture
from .training_setting import TrainingSetting

_MEASURED = 512  # images


def with_measured_units(setting: TrainingSetting, model: Model) -> Model:
    """The model; where its encoder sees the score, that of the reference as it is now, in units
    from the first images of an epoch."""
    assert isinstance(model.posterior, Encoded)
    encoder = model.posterior.encoder
    if not isinstance(encoder, ScoreGradientEncoder):
        return model
    assert isinstance(model.volume, DisplacedMixture)
    encoder = eqx.tree_at(lambda e: e.reference, encoder, model.volume.reference)
    loader = setting.loader(setting.box)
    plan = setting.epoch_plan(0, loader)[: max(1, _MEASURED // loader.batch_size)]
    encoder = measured(encoder, setting.noise, loader.batches(plan), setting.grid(setting.box))
    return eqx.tree_at(lambda m: m.posterior.encoder, model, encoder)
