"""Maps of a run whose model is a mixture of Gaussians that something moves."""

from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..imaging.grid import FourierGrid
from ..results.mixture_store import load_mixture
from ..results.run import RunFolder
from ..volumes.band_limited import band_limited_density
from ..volumes.displaced import DisplacedMixture
from ..volumes.gaussian_mixture import GaussianMixture
from ..volumes.gaussians import Gaussians
from .model_maps import AbstractModelMaps


@final
@dataclass(frozen=True, kw_only=True)
class MixtureMaps(AbstractModelMaps):
    """Gaussians where their displacement puts them, as far as voxels can tell."""

    model: DisplacedMixture

    def one(self, point):
        grid = FourierGrid(len(self.mean.data), self.mean.voxel_size[0])
        moved = _at(self.model, jnp.asarray(point, self.model.reference.positions.dtype))
        assert isinstance(moved, GaussianMixture | Gaussians)
        return np.asarray(band_limited_density(moved, grid), np.float32)


@eqx.filter_jit
def _at(mixture, latent):
    return mixture.at(latent)


def mixture_maps(run: RunFolder) -> MixtureMaps:
    """Of `model/` and `volumes/mean.mrc`. Raises as `load_mixture` does."""
    return MixtureMaps(mean=run.volume("mean"), model=load_mixture(run).volume)
