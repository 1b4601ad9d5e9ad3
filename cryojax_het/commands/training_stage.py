"""A stage of training: epochs in which some of a model moves."""

import abc
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..inference.model import Model
from ..inference.update import AbstractUpdate
from .training_setting import TrainingSetting


@dataclass(frozen=True, kw_only=True)
class AbstractStage(abc.ABC):
    """Epochs in which some of the model moves."""

    name: str
    epochs: int
    warm: float = 0.0  # epochs until the divergence has its full weight
    before: int = 0  # epochs of stages before that share the fall of the learning rate
    after: int = 0  # and of those after

    @abc.abstractmethod
    def moving(self, model: Model) -> list[Any]:
        """The parts of the model that train."""

    @abc.abstractmethod
    def prepared(self, setting: Any, model: Model) -> Model:
        """The model that the stage starts with."""

    def shaped(self, setting: Any, model: Model) -> Model:
        """The untrained `model` in the shape that checkpoints of the stage have."""
        del setting
        return model

    @abc.abstractmethod
    def update(self, setting: Any, model: Model) -> AbstractUpdate[Any]:
        """One for all epochs of the stage: another optimiser would be another program."""

    @abc.abstractmethod
    def scheduled(
        self, update: Any, model: Model, epoch: int, key: PRNGKeyArray
    ) -> AbstractUpdate[Any]:
        """The update as an epoch, from 0, has it: weights that come to their full strength."""

    def divergence_weight(self, epoch: int) -> Float[Array, ""]:
        """Of an epoch, from 0."""
        return jnp.float32(min(1.0, epoch / self.warm) if self.warm > 0 else 1.0)

    def trainable(self, model: Model) -> PyTree:
        """True for arrays that train."""
        none = jax.tree.map(lambda _: False, model)
        chosen = jax.tree.map(lambda x: eqx.is_inexact_array(x), self.moving(model))
        return eqx.tree_at(self.moving, none, chosen)

    def optimiser(self, setting: TrainingSetting) -> optax.GradientTransformation:
        """Adam down a cosine, which stages may share, long gradients shortened."""
        config, steps = setting.config, setting.steps()
        count = max((self.before + self.epochs + self.after) * steps, 1)
        whole = optax.cosine_decay_schedule(config.rate, count)
        schedule = lambda step: whole(step + self.before * steps)
        return optax.chain(optax.clip_by_global_norm(config.clip), optax.adam(schedule))
