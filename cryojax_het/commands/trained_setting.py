"""What is fixed during the training of a mixture, and the model that it starts with."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import equinox as eqx
import jax
import numpy as np

from ..inference.devices import own_part, place_batch
from ..inference.encoders.encoded import Encoded
from ..inference.encoders.score_gradient import ScoreGradientEncoder, measured
from ..inference.model import Model
from ..inference.prior import LocalPrior
from ..particles.loader import HostLatents, Loader, Placement, shuffled, split_rows
from ..volumes.displaced import DisplacedMixture
from .consensus_setting import ConsensusSetting
from .image_preparation import image_loader, pose_latents
from .mixture_reference import Reference, reference_of
from .trained_model import MOVERS, OCCUPANCIES, READERS
from .trained_settings import TrainedSettings

_BATCH = 64  # images to a step: more steps find more than better ones do
_MEASURED = 512  # images that the units of the encoder's input are measured on


@final
@dataclass(frozen=True)
class TrainedSetting(ConsensusSetting):
    """Everything fixed during training."""

    config: TrainedSettings

    @cached_property
    def box(self) -> int:
        """Pixels that are worked on."""
        return self.resolved_box(self.config.latent_box)

    @cached_property
    def reference(self) -> Reference:
        """The mixture before any training."""
        return reference_of(self.config, self.consensus)

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

    def untrained(self) -> Model:
        """The reference at rest, and an encoder that tells nothing yet."""
        config, rest = self.config, self.reference
        key = jax.random.key(config.seed)
        first, second = jax.random.split(key)
        displacement = MOVERS[config.displacement].displacement(first, rest, config)
        displacement = OCCUPANCIES[config.occupancy].beside(
            jax.random.fold_in(key, 2), displacement, rest, config
        )
        encoder = READERS[config.encoder].encoder(second, rest.mixture, config, self.box)
        volume = DisplacedMixture(rest.mixture, displacement)
        return Model(volume, self.noise, self.prior, Encoded(encoder))

    def with_measured_units(self, model: Model) -> Model:
        """Where the encoder sees the score: its units, from the first images of an epoch."""
        assert isinstance(model.posterior, Encoded)
        encoder = model.posterior.encoder
        if not isinstance(encoder, ScoreGradientEncoder):
            return model
        assert isinstance(model.volume, DisplacedMixture)
        encoder = eqx.tree_at(lambda e: e.reference, encoder, model.volume.reference)
        loader = self.loader(self.box)
        plan = self.epoch_plan(0, loader)[: max(1, _MEASURED // loader.batch_size)]
        encoder = measured(encoder, self.noise, loader.batches(plan), self.grid(self.box))
        return eqx.tree_at(lambda m: m.posterior.encoder, model, encoder)
