"""How a neural field trains: with an encoder, with a table of latents, or one after the other."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..inference.encoders.encoded import Encoded
from ..inference.model import Model
from ..inference.training.auto_decoding import AutoDecoding
from ..inference.training.row_adam import RowAdam
from ..inference.training.stochastic_gradient import StochasticGradient
from ..volumes.neural_field import NeuralField
from .latent_rows import with_empty_rows, with_rows
from .neural_field_settings import NeuralFieldSettings
from .training_stage import AbstractStage

if TYPE_CHECKING:
    from .neural_field_setting import NeuralFieldSetting


@dataclass(frozen=True, kw_only=True)
class FieldStage(AbstractStage):
    """Epochs in which the field trains; `divergence`: weight of the prior once it is whole."""

    divergence: float

    def weight(self, epoch: int) -> Float[Array, ""]:
        """Of the divergence in an epoch, from 0."""
        return jnp.float32(self.divergence) * self.divergence_weight(epoch)


@final
@dataclass(frozen=True, kw_only=True)
class Encoding(FieldStage):
    """The field and an encoder, down the evidence bound."""

    def prepared(self, setting: "NeuralFieldSetting", model: Model) -> Model:
        return model

    def moving(self, model):
        assert isinstance(model.posterior, Encoded)
        return [field_of(model).parameters, *model.posterior.encoder.trained()]

    def update(self, setting, model):
        return StochasticGradient(
            optimiser=self.optimiser(setting),
            trainable=self.trainable(model),
            divergence_weight=self.weight(0),
            free=setting.config.free_nats,
        )

    def scheduled(self, update, model, epoch, key):
        del model, key
        return eqx.tree_at(lambda u: u.divergence_weight, update, self.weight(epoch))


@final
@dataclass(frozen=True, kw_only=True)
class Decoding(FieldStage):
    """The field and a table of latents, down the joint density; `rate`: of the rows at first. Where
    an encoder has told latents before, rows begin there."""

    rate: float

    def prepared(self, setting: "NeuralFieldSetting", model: Model) -> Model:
        return with_rows(setting, model)

    def shaped(self, setting: "NeuralFieldSetting", model: Model) -> Model:
        return with_empty_rows(setting, model)

    def moving(self, model):
        return [field_of(model).parameters]

    def update(self, setting, model):
        return AutoDecoding(
            optimiser=self.optimiser(setting),
            trainable=self.trainable(model),
            rows=RowAdam(self.row_rate(0)),
            divergence_weight=self.weight(0),
        )

    def scheduled(self, update, model, epoch, key):
        del model, key
        places = lambda u: (u.divergence_weight, u.rows.rate)
        return eqx.tree_at(places, update, (self.weight(epoch), self.row_rate(epoch)))

    def row_rate(self, epoch: int) -> Float[Array, ""]:
        """Of an epoch, from 0: down the same cosine as the network's."""
        return jnp.float32(self.rate * 0.5 * (1 + np.cos(np.pi * epoch / self.epochs)))


def field_of(model: Model) -> NeuralField:
    """The volume."""
    assert isinstance(model.volume, NeuralField)
    return model.volume


def stages_of(config: NeuralFieldSettings) -> list[FieldStage]:
    """Those that the settings ask for."""
    warm, divergence = config.warm_up * config.epochs, config.divergence
    if config.posterior == "table":
        rate, count = config.row_rate, config.epochs
        return [_decoding(epochs=count, warm=warm, divergence=divergence, rate=rate)]
    last = config.table_epochs
    first = config.epochs - last
    encoding = Encoding(name="field", epochs=first, warm=warm, divergence=divergence, after=last)
    if not last:
        return [encoding]
    rate = config.row_rate
    return [encoding, _decoding(epochs=last, divergence=divergence, rate=rate, before=first)]


def _decoding(**course) -> Decoding:
    return Decoding(name="field and latents", **course)
