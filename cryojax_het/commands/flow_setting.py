"""What is fixed during the training of a field, and the model that it starts with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..analysis.fourier_resample import resample_box
from ..analysis.mask import spherical_mask
from ..inference.encoders.convolutional import convolutional_encoder
from ..inference.encoders.encoded import Encoded
from ..inference.encoders.encoder import AbstractEncoder
from ..inference.encoders.score_gradient import score_gradient_encoder
from ..inference.model import Model
from ..volumes.anchors import anchor_weights
from ..volumes.displaced import DisplacedMixture
from ..volumes.voxel_cloud import VoxelCloud, voxel_cloud, voxels_within
from .flow_fields import FIELDS, Region, flowing
from .flow_output import write_flow
from .flow_settings import FlowSettings
from .flow_stages import rounds_of
from .trained_model import anchor_places
from .training_setting import TrainingSetting
from .training_stage import AbstractStage

_FAINT = 0.02  # of the mask: voxels below are left out
_PULLED = 64  # points at which the score is gathered


@final
@dataclass(frozen=True)
class FlowSetting(TrainingSetting):
    """Everything fixed during training."""

    config: FlowSettings

    def stages(self) -> Sequence[AbstractStage]:
        return rounds_of(self.config, FIELDS[self.kind].energy(self.region, self.config))

    def rest(self, model: Model) -> Any:
        return flowing(model).reference

    def write_model(self, folder, model):
        return write_flow(self, folder, flowing(model))

    def window(self, box: int) -> Float[np.ndarray, "b b b"]:
        """Where the map may have density: the consensus' mask, at `box` voxels."""
        mask = np.clip(resample_box(np.asarray(self.consensus.mask, np.float64), box), 0, 1)
        # The transform's corners are of no image.
        mask = mask * spherical_mask(box, box / 2 - 1, 1.0)
        return np.where(mask > _FAINT, mask, 0.0)

    def spacing(self, box: int) -> float:
        """Å per voxel."""
        return float(self.grid(box).pixel_size)

    @cached_property
    def cloud(self) -> VoxelCloud:
        """The consensus as training sees it."""
        return voxel_cloud(self.mean(self.box), self.window(self.box), self.spacing(self.box))

    @cached_property
    def region(self) -> Region:
        """Of the voxels of both sizes."""
        points, density = [], []
        for box in sorted({self.box, self.data.size}):
            flat, places = voxels_within(self.window(box), self.spacing(box))
            points.append(places)
            density.append((self.mean(box) * self.window(box)).ravel()[flat])
        spacing = self.spacing(self.data.size)
        return Region(np.concatenate(points), np.concatenate(density), spacing)

    def untrained(self) -> Model:
        """The consensus at rest, and an encoder that tells nothing yet."""
        config = self.config
        first, second = jax.random.split(jax.random.key(config.seed))
        field = FIELDS[self.kind].flow(first, self.region, config)
        flow = field.at(np.asarray(self.cloud.positions, np.float64))
        encoder = READERS[config.encoder](second, self)
        volume = DisplacedMixture(self.cloud, flow)
        return Model(volume, self.noise, self.prior, Encoded(encoder))

    @property
    def kind(self) -> str:
        """Of the field."""
        return self.config.volume


def _of_score(key, setting: FlowSetting) -> AbstractEncoder:
    """How the image pulls at the voxels, gathered at points among them."""
    config, cloud = setting.config, setting.cloud
    centres, reach = anchor_places(cloud, _PULLED, None)
    weights = anchor_weights(cloud.positions, centres, reach)
    contrast = (jnp.float32(1), jnp.float32(config.contrast))
    return score_gradient_encoder(
        key, cloud, weights, config.latent, contrast, config.encoder_layers
    )


def _of_pixels(key, setting: FlowSetting) -> AbstractEncoder:
    """Convolutions of the image."""
    config = setting.config
    layers = config.encoder_layers
    return convolutional_encoder(key, setting.box, config.latent, layers=layers, dtype=jnp.float32)


READERS = {"score": _of_score, "pixels": _of_pixels}
