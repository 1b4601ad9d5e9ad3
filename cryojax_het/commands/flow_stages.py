"""Rounds of training: the field and the encoder, and before each but the first the map anew."""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import equinox as eqx

from ..inference.encoders.encoded import Encoded
from ..inference.model import Model
from ..inference.training.conformation_energy import AbstractConformationEnergy
from ..inference.training.stochastic_gradient import StochasticGradient
from ..volumes.flow import AbstractFlow
from ..volumes.voxel_cloud import cloud_within
from .flow_fields import flowing
from .flow_map import encoded_latents, through_flow
from .flow_settings import FlowSettings
from .score_units import with_measured_units
from .training_stage import AbstractStage

if TYPE_CHECKING:
    from .flow_setting import FlowSetting

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True, kw_only=True)
class FlowRound(AbstractStage):
    """Epochs in which the field and the encoder train; `number`: of the round, from 0."""

    number: int
    energy: AbstractConformationEnergy | None = field(default=None, repr=False)

    def moving(self, model):
        flow: Any = flowing(model).displacement
        motion = flow.motion
        assert isinstance(model.posterior, Encoded)
        return [motion.parameters, motion.weights, *model.posterior.encoder.trained()]

    def prepared(self, setting: "FlowSetting", model: Model) -> Model:
        """The map of all images through the field as it is, but for the first round."""
        if self.number:
            model = with_solved_map(setting, model)
        return with_measured_units(setting, model)

    def update(self, setting, model):
        return StochasticGradient(
            optimiser=self.optimiser(setting),
            trainable=self.trainable(model),
            divergence_weight=self.divergence_weight(0),
            free=setting.config.free_nats,
            restraint=self.energy,
        )

    def scheduled(self, update, model, epoch, key):
        del model, key
        return eqx.tree_at(lambda u: u.divergence_weight, update, self.divergence_weight(epoch))


def with_solved_map(setting: "FlowSetting", model: Model) -> Model:
    """The model with the map of all images, each through the field at the mean of its latent."""
    volume = flowing(model)
    latents = encoded_latents(setting, model)
    flow = volume.displacement
    assert isinstance(flow, AbstractFlow)
    found = through_flow(setting, flow, latents, setting.box)
    LOG.info("The map was solved for through the field, in %d passes.", found.passes)
    cloud = cloud_within(found.whole, setting.window(setting.box), setting.spacing(setting.box))
    return eqx.tree_at(lambda m: m.volume.reference, model, cloud)


def rounds_of(config: FlowSettings, energy: AbstractConformationEnergy | None) -> list[FlowRound]:
    """Those that the settings ask for, fields held by `energy`; the divergence from the prior comes
    to its weight in the first."""
    shares = [config.epochs // config.rounds] * config.rounds
    shares[0] += config.epochs % config.rounds
    return [
        FlowRound(
            name=f"round {number + 1}",
            epochs=epochs,
            warm=config.warm_up * epochs if number == 0 else 0.0,
            number=number,
            energy=energy,
        )
        for number, epochs in enumerate(shares)
    ]
