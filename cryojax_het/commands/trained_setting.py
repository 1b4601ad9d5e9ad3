"""What is fixed during the training of a mixture, and the model that it starts with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import jax
import numpy as np

from ..inference.encoders.encoded import Encoded
from ..inference.model import Model
from ..results.conformation_paths import write_conformations
from ..results.mixture_store import StoredMixture
from ..volumes.displaced import DisplacedMixture
from .mixture_reference import Reference, reference_of
from .trained_model import MOVERS, OCCUPANCIES, READERS
from .trained_settings import TrainedSettings
from .trained_stages import displaced, stages_of
from .training_setting import TrainingSetting
from .training_stage import AbstractStage


@final
@dataclass(frozen=True)
class TrainedSetting(TrainingSetting):
    """Everything fixed during training."""

    config: TrainedSettings

    @cached_property
    def reference(self) -> Reference:
        """The mixture before any training."""
        return reference_of(self.config, self.consensus)

    def stages(self) -> Sequence[AbstractStage]:
        return stages_of(self.config, self.reference)

    def rest(self, model: Model) -> Any:
        return displaced(model).reference

    def write_model(self, folder, model):
        before, volume = self.reference, displaced(model)
        moved = np.asarray(volume.reference.positions - before.mixture.positions, np.float64)
        atoms = before.atoms.at(before.atoms.positions + moved[before.follows])
        stored = StoredMixture(volume=volume, atoms=atoms, follows=before.follows)
        latents = np.asarray(folder.latents().read("conformation"))
        return {"trajectories": write_conformations(folder, stored, latents), **before.about}

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
