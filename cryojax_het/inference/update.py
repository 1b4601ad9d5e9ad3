"""The M-step: from images and what is believed of their latents to a better model."""

import abc
from typing import Any, Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from .model import Model

State = TypeVar("State")
Metrics = dict[str, Float[Array, "..."]]


class AbstractUpdate(eqx.Module, Generic[State]):
    """`step` sees one batch; `sweep` closes a pass over the data.

    A gradient method moves in `step` and does nothing in `sweep`; least squares gathers normal
    equations in `step` and solves them in `sweep`.
    """

    @abc.abstractmethod
    def init(self, model: Model) -> State:
        """The state before the first batch of a pass."""

    @abc.abstractmethod
    def step(
        self, model: Model, state: State, batch: Batch, grid: FourierGrid, key: PRNGKeyArray
    ) -> tuple[Model, State, Any, Metrics]:
        """After one batch: model, state, the batch's posterior, and sums worth reporting."""

    @abc.abstractmethod
    def sweep(self, model: Model, state: State) -> tuple[Model, State]:
        """After the last batch of a pass."""
