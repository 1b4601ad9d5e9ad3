"""The stages of training: the Gaussians at rest, then what moves them."""

from dataclasses import dataclass, field
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..inference.encoders.encoded import Encoded
from ..inference.model import Model
from ..inference.structural.restraint import AbstractRestraint
from ..inference.training.balance import AbstractBalance, AsGivenBalance
from ..inference.training.conformation_energy import OfPositions
from ..inference.training.stochastic_gradient import StochasticGradient
from ..volumes.displaced import DisplacedMixture
from .mixture_reference import Reference
from .score_units import with_measured_units
from .trained_model import MOVERS, OCCUPANCIES
from .trained_restraints import balance_of, restraints_of
from .trained_settings import TrainedSettings
from .trained_teaching import taught_model
from .training_stage import AbstractStage

_PLACE = 5.0  # Å per unit of a network's parameters: how fast Gaussians may move
_WEIGHT = 5.0  # likewise, of their mean amplitude
_WIDTH = 2.0  # likewise, Å
_DRAWN = 32  # conformations that restraints are adapted to


@dataclass(frozen=True, kw_only=True)
class Stage(AbstractStage):
    """Epochs in which Gaussians, or what moves them, train beside restraints."""

    loose: float = 1.0  # share of the restraints' strength at first
    stiffening: float = 0.0  # epochs until they have all of it
    restraint: AbstractRestraint | None = field(default=None, repr=False)
    balance: AbstractBalance = field(default_factory=AsGivenBalance)

    def update(self, setting, model):
        return StochasticGradient(
            optimiser=self.optimiser(setting),
            trainable=self.trainable(model),
            divergence_weight=self.divergence_weight(0),
            restraint_weight=self.restraint_weight(0),
            free=setting.config.free_nats,
            restraint=_of_positions(self.restraint),
            balance=self.balance,
            units=self.units(setting.reference, model),
        )

    def scheduled(self, update, model, epoch, key):
        weights = (self.divergence_weight(epoch), self.restraint_weight(epoch))
        update = eqx.tree_at(lambda u: (u.divergence_weight, u.restraint_weight), update, weights)
        adapted = _of_positions(self.adapted(model, key))
        return eqx.tree_at(lambda u: u.restraint, update, adapted, is_leaf=lambda x: x is None)

    def adapted(self, model: Model, key: PRNGKeyArray) -> AbstractRestraint | None:
        """The restraint for structures as the model now makes them of latents of the prior."""
        if self.restraint is None:
            return None
        volume = displaced(model)
        z = jax.random.normal(key, (_DRAWN, volume.latent_size), jnp.float32)
        return self.restraint.adapted(np.asarray(_positions(volume, z)))

    def restraint_weight(self, epoch: int) -> Float[Array, ""]:
        """Of an epoch, from 0: from `loose` to 1 in equal factors."""
        done = min(1.0, epoch / self.stiffening) if self.stiffening > 0 else 1.0
        return jnp.float32(self.loose ** (1 - done))

    def units(self, before: Reference, model: Model) -> PyTree:
        """How far a step goes, of each array that trains: by the Gaussians before any training, so
        that a run that is taken up goes on alike."""
        units = jax.tree.map(lambda _: 1.0, eqx.filter(model, self.trainable(model)))
        if _gaussians(units)[0] is None:
            return units
        size = float(jnp.mean(jnp.abs(before.mixture.amplitudes)))
        return eqx.tree_at(_gaussians, units, [_PLACE, _WEIGHT * size, _WIDTH])


def _of_positions(restraint: AbstractRestraint | None) -> OfPositions | None:
    return None if restraint is None else OfPositions(restraint)


def displaced(model: Model) -> DisplacedMixture:
    """The volume, which all stages train."""
    assert isinstance(model.volume, DisplacedMixture)
    return model.volume


@eqx.filter_jit
def _positions(volume: DisplacedMixture, latents: Float[Array, "m d"]) -> Float[Array, "m j 3"]:
    return jax.vmap(lambda z: volume.at(z).positions)(latents)


def _gaussians(model: Model) -> list[Any]:
    reference: Any = displaced(model).reference
    return [reference.positions, reference.amplitudes, reference.widths]


@final
class Neutral(Stage):
    """Places and amplitudes of the Gaussians at rest."""

    def moving(self, model):
        return _gaussians(model)

    def prepared(self, setting, model):
        return model


@final
@dataclass(frozen=True, kw_only=True)
class Variability(Stage):
    """Both networks, and the Gaussians, which the consensus had blurred where they move."""

    config: TrainedSettings

    def moving(self, model):
        mover = MOVERS[self.config.displacement]
        assert isinstance(model.posterior, Encoded)
        occupancy, whole = OCCUPANCIES[self.config.occupancy], displaced(model).displacement
        parts = [*mover.trained(occupancy.moved(whole)), *occupancy.trained(whole)]
        parts = [*_gaussians(model), *parts] if self.config.gaussians_are_free else parts
        return [*parts, *model.posterior.encoder.trained()]

    def prepared(self, setting, model):
        model = with_measured_units(setting, model)
        if self.config.lesson_images:
            model = taught_model(setting, self.config, model)
        return model


def stages_of(config: TrainedSettings, reference: Reference) -> list[Stage]:
    """Those that the settings ask for."""
    stages: list[Stage] = []
    if config.neutral_epochs and config.gaussians_are_free:
        stages.append(Neutral(name="neutral", epochs=config.neutral_epochs))
    warm = config.warm_up * config.epochs
    moving = Variability(
        name="variability",
        epochs=config.epochs,
        warm=warm,
        loose=config.loose,
        stiffening=config.stiffening * config.epochs,
        restraint=restraints_of(config, reference),
        balance=balance_of(config),
        config=config,
    )
    return [*stages, moving]
