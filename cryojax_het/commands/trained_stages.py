"""The stages of training: the Gaussians at rest, then what moves them."""

import abc
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
from ..volumes.displaced import DisplacedMixture
from .trained_model import MOVERS, OCCUPANCIES, READERS
from .trained_restraints import balance_of, restraints_of
from .trained_setting import TrainedSetting
from .trained_settings import TrainedSettings
from .trained_teaching import taught_model

_PLACE = 5.0  # Å per unit of a network's parameters: how fast Gaussians may move
_WEIGHT = 5.0  # likewise, of their mean amplitude
_WIDTH = 2.0  # likewise, Å
_DRAWN = 32  # conformations that restraints are adapted to


@dataclass(frozen=True, kw_only=True)
class Stage(abc.ABC):
    """Epochs in which some of the model moves."""

    name: str
    epochs: int
    warm: float = 0.0  # epochs until the divergence has its full weight
    loose: float = 1.0  # share of the restraints' strength at first
    stiffening: float = 0.0  # epochs until they have all of it
    restraint: AbstractRestraint | None = field(default=None, repr=False)
    balance: AbstractBalance = field(default_factory=AsGivenBalance)

    @abc.abstractmethod
    def moving(self, model: Model) -> list[Any]:
        """The parts of the model that train."""

    @abc.abstractmethod
    def prepared(self, setting: TrainedSetting, model: Model) -> Model:
        """The model that the stage starts with."""

    def adapted(self, model: Model, key: PRNGKeyArray) -> AbstractRestraint | None:
        """The restraint for structures as the model now makes them of latents of the prior."""
        if self.restraint is None:
            return None
        volume = displaced(model)
        z = jax.random.normal(key, (_DRAWN, volume.latent_size), jnp.float32)
        return self.restraint.adapted(np.asarray(_positions(volume, z)))

    def divergence_weight(self, epoch: int) -> Float[Array, ""]:
        """Of an epoch, from 0."""
        return jnp.float32(min(1.0, epoch / self.warm) if self.warm > 0 else 1.0)

    def restraint_weight(self, epoch: int) -> Float[Array, ""]:
        """Of an epoch, from 0: from `loose` to 1 in equal factors."""
        done = min(1.0, epoch / self.stiffening) if self.stiffening > 0 else 1.0
        return jnp.float32(self.loose ** (1 - done))

    def trainable(self, model: Model) -> PyTree:
        """True for arrays that train."""
        none = jax.tree.map(lambda _: False, model)
        chosen = jax.tree.map(lambda x: eqx.is_inexact_array(x), self.moving(model))
        return eqx.tree_at(self.moving, none, chosen)

    def units(self, setting: TrainedSetting, model: Model) -> PyTree:
        """How far a step goes, of each array that trains: by the Gaussians before any training, so
        that a run that is taken up goes on alike."""
        units = jax.tree.map(lambda _: 1.0, eqx.filter(model, self.trainable(model)))
        if _gaussians(units)[0] is None:
            return units
        size = float(jnp.mean(jnp.abs(setting.reference.mixture.amplitudes)))
        return eqx.tree_at(_gaussians, units, [_PLACE, _WEIGHT * size, _WIDTH])


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
        mover, reader = MOVERS[self.config.displacement], READERS[self.config.encoder]
        assert isinstance(model.posterior, Encoded)
        occupancy, whole = OCCUPANCIES[self.config.occupancy], displaced(model).displacement
        parts = [*mover.trained(occupancy.moved(whole)), *occupancy.trained(whole)]
        parts = [*_gaussians(model), *parts] if self.config.gaussians_are_free else parts
        return [*parts, *reader.trained(model.posterior.encoder)]

    def prepared(self, setting, model):
        model = setting.with_measured_units(model)
        if setting.config.lesson_images:
            model = taught_model(setting, model)
        return model


def stages_of(setting: TrainedSetting) -> list[Stage]:
    """Those that the settings ask for."""
    config = setting.config
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
        restraint=restraints_of(config, setting.reference),
        balance=balance_of(config),
        config=config,
    )
    return [*stages, moving]
