"""Maps of a run whose model is a neural field."""

from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..imaging.grid import FourierGrid
from ..results.neural_field_store import load_neural_field
from ..results.run import RunFolder
from ..volumes.neural_field import NeuralField
from .fourier_resample import resample_box
from .model_maps import AbstractModelMaps


@final
@dataclass(frozen=True, kw_only=True)
class NeuralFieldMaps(AbstractModelMaps):
    """The field, evaluated up to its own Nyquist frequency, beyond which it is zero."""

    model: NeuralField

    def one(self, point):
        size, spacing = len(self.mean.data), self.mean.voxel_size[0]
        own = min(2 * round(size * spacing / float(self.model.spacing) / 2), size)
        grid = FourierGrid(own, jnp.float32(spacing * size / own))
        voxels = _density(self.model, jnp.asarray(point, jnp.float32), grid)
        return np.asarray(resample_box(np.asarray(voxels, np.float64), size), np.float32)


@eqx.filter_jit
def _density(field, latent, grid):
    return field.density(latent, grid)


def neural_field_maps(run: RunFolder) -> NeuralFieldMaps:
    """Of `model/` and `volumes/mean.mrc`. Raises as `load_neural_field` does."""
    return NeuralFieldMaps(mean=run.volume("mean"), model=load_neural_field(run))
