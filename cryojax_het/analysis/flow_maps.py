"""Maps of a run whose model is a map that a field deforms."""

from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..imaging.grid import FourierGrid
from ..results.flow_store import load_flow
from ..results.run import RunFolder
from ..volumes.displaced import DisplacedMixture
from .model_maps import AbstractModelMaps


@final
@dataclass(frozen=True, kw_only=True)
class FlowMaps(AbstractModelMaps):
    """The reference, pushed to where the field has its voxels."""

    model: DisplacedMixture

    def one(self, point):
        grid = FourierGrid(len(self.mean.data), jnp.float32(self.mean.voxel_size[0]))
        return np.asarray(_density(self.model, jnp.asarray(point, jnp.float32), grid))


@eqx.filter_jit
def _density(volume, latent, grid):
    return volume.density(latent, grid)


def flow_maps(run: RunFolder) -> FlowMaps:
    """Of `model/` and `volumes/mean.mrc`. Raises as `load_flow` does."""
    return FlowMaps(mean=run.volume("mean"), model=load_flow(run))
