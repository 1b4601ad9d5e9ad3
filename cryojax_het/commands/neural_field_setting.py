"""What is fixed during the training of a neural field, and the model that it starts with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np

from ..analysis.map_series import write_series
from ..analysis.neural_field_maps import NeuralFieldMaps
from ..inference.devices import on_cpu
from ..inference.model import Model
from ..inference.posteriors.latent_table import LatentTable
from ..particles.cryodrgn_latents import write_latents
from ..particles.mrc import MrcVolume
from ..results.neural_field_store import save_neural_field
from ..volumes.neural_field import neural_field, profile_of
from ..volumes.point_groups import AbstractPointGroups, AllAtOnce, InGroups
from ..volumes.voxels import Voxels
from .neural_field_model import CPU_GROUPS, PRODUCTS, features_of, posterior_of
from .neural_field_settings import NeuralFieldSettings
from .neural_field_stages import field_of, stages_of
from .training_setting import TrainingSetting
from .training_stage import AbstractStage


@final
@dataclass(frozen=True)
class NeuralFieldSetting(TrainingSetting):
    """Everything fixed during training."""

    config: NeuralFieldSettings

    @cached_property
    def box(self) -> int:
        """Pixels that are worked on: those that hold the resolution of the half-maps, and no fewer
        for being many."""
        return self.resolved_box(self.config.latent_box, self.data.size)

    def stages(self) -> Sequence[AbstractStage]:
        return stages_of(self.config)

    def rest(self, model: Model) -> Any:
        """The consensus, which an image's gain is told against."""
        del model
        spacing = self.grid(self.box).pixel_size
        return Voxels(voxels=jnp.asarray(self.mean(self.box), jnp.float32), spacing=spacing)

    def untrained(self) -> Model:
        """A field as strong as the consensus in every shell, and latents that tell nothing yet."""
        config, box = self.config, self.box
        keys = jax.random.split(jax.random.key(config.seed), 3)
        spacing = float(self.grid(box).pixel_size)
        field = neural_field(
            keys[0],
            jnp.asarray(profile_of(self.mean(box), spacing)),
            jnp.float32(spacing),
            features_of(keys[1], config, box),
            config.latent,
            config.decoder_layers,
            PRODUCTS[config.products],
            self.groups(),
        )
        posterior = posterior_of(keys[2], config, box, len(self.data.particles))
        return Model(field, self.noise, self.prior, posterior)

    def groups(self) -> AbstractPointGroups:
        """How points of a slice are evaluated on these devices."""
        if self.config.group is not None:
            return InGroups(self.config.group)
        if not on_cpu(self.mesh):
            return AllAtOnce()
        images = self.loader(self.box).batch_size // self.mesh.size
        return CPU_GROUPS[self.config.products](images)

    def maps(self, model: Model) -> NeuralFieldMaps:
        """Of the field as it is."""
        spacing = float(self.grid(self.data.size).pixel_size)
        mean = MrcVolume(
            np.asarray(self.mean(self.data.size), np.float32), (spacing, spacing, spacing)
        )
        return NeuralFieldMaps(mean=mean, model=field_of(model))

    def look(self, folder, model):
        """`early_look/`: maps in the middle of the latents and to both sides along each of the
        first two, as they are by now."""
        latent = self.config.latent
        points = np.zeros((1 + 2 * min(2, latent), latent))
        centre, width = np.zeros(latent), np.ones(latent)
        if isinstance(model.posterior, LatentTable):
            rows = np.asarray(model.posterior.conformation)
            centre, width = rows.mean(axis=0), rows.std(axis=0)
        for axis in range(min(2, latent)):
            points[1 + 2 * axis : 3 + 2 * axis, axis] = (-1, 1)
        maps = self.maps(model)
        write_series(
            folder.folder("early_look"), centre + width * points, maps, maps.mean.voxel_size
        )

    def write_model(self, folder, model):
        """The field, a map in the middle of all latents, and `z.pkl` as cryoDRGN writes it."""
        save_neural_field(folder, field_of(model))
        latents = np.asarray(folder.latents().read("conformation"))
        maps = self.maps(model)
        (middle,) = maps(latents.mean(axis=0, keepdims=True))
        folder.write_volume("middle", MrcVolume(middle, maps.mean.voxel_size))
        write_latents(folder.folder("latents") / "z.pkl", latents)
        network = field_of(model).network
        told = "table" if isinstance(model.posterior, LatentTable) else "encoder"
        return {"posterior": told, "layers": [network.width, network.depth]}
