"""What is fixed during the training of a model, whatever its volume."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..inference.devices import own_part, place_batch
from ..inference.model import Model
from ..inference.prior import LocalPrior
from ..particles.loader import HostLatents, Loader, Placement, shuffled, split_rows
from ..results.run import RunFolder
from .consensus_setting import ConsensusSetting
from .image_preparation import image_loader, pose_latents
from .training_settings import TrainingSettings

if TYPE_CHECKING:
    from .training_stage import AbstractStage

_BATCH = 64  # images to a step: more steps find more than better ones do


@dataclass(frozen=True)
class TrainingSetting(ConsensusSetting, abc.ABC):
    """Images, consensus and devices, the model that training begins with, and its stages."""

    config: TrainingSettings

    @abc.abstractmethod
    def untrained(self) -> Model:
        """The model before any training."""

    @abc.abstractmethod
    def stages(self) -> "Sequence[AbstractStage]":
        """Of training, in order."""

    @abc.abstractmethod
    def rest(self, model: Model) -> Any:
        """The volume without motion: what a model's gain is told against, image by image."""

    @abc.abstractmethod
    def write_model(self, folder: RunFolder, model: Model) -> dict[str, Any]:
        """The trained model into the run folder, whose latents are written; what the summary of
        the run says of it."""

    def look(self, folder: RunFolder, model: Model) -> None:
        """After every epoch, by one process: what may be looked at while training goes on."""
        del folder, model

    @cached_property
    def box(self) -> int:
        """Pixels that are worked on."""
        return self.resolved_box(self.config.latent_box)

    @property
    def prior(self) -> LocalPrior:
        """Latents standard normal, contrast about 1; poses do not move."""
        return LocalPrior.of_contrast(self.config.contrast)

    def loader(self, box: int) -> Loader:
        """Batches of few images."""
        placement = Placement(place_batch(self.mesh), own_part)
        wanted = self.config.batch or min(_BATCH, max(8, len(self.data.particles) // 8))
        batch = -(-wanted // self.mesh.size) * self.mesh.size
        return image_loader(self.config, self.data, box, batch, placement)

    def rest_latents(self) -> HostLatents:
        """Poses as given, conformations in the middle of the prior."""
        at = pose_latents(self.data)
        still = np.zeros((len(at.contrast), self.config.latent), np.float32)
        return HostLatents(still, at.rotation, at.shift, at.contrast)

    def epoch_plan(self, epoch: int, loader: Loader):
        """Batches of one epoch, in an order of its own; the last is padded."""
        rows = shuffled(np.arange(len(self.data.particles)), self.config.seed, epoch)
        return split_rows(rows, loader.batch_size)

    def steps(self) -> int:
        """Steps of one epoch."""
        return len(self.epoch_plan(0, self.loader(self.box)))
