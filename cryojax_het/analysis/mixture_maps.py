"""Maps of a run whose model is a mixture of Gaussians that something moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from ..imaging.grid import FourierGrid
from ..particles.mrc import MrcVolume
from ..results.mixture_store import load_mixture
from ..results.run import RunFolder
from ..volumes.band_limited import band_limited_density
from ..volumes.displaced import DisplacedMixture
from ..volumes.gaussian_mixture import GaussianMixture
from ..volumes.gaussians import Gaussians


@final
@dataclass(frozen=True, kw_only=True)
class MixtureMaps:
    """`V(z)` of Gaussians moved by `mixture`, on the voxels of the consensus `mean`."""

    mean: MrcVolume
    mixture: DisplacedMixture

    @property
    def latent_size(self) -> int:
        """Coordinates of a latent."""
        return self.mixture.latent_size

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float32[np.ndarray, "n n n"]]:
        """The map at each point. Raises `ValueError` for points of other coordinates."""
        if latent.shape[1] != self.latent_size:
            raise ValueError(
                f"Points of {latent.shape[1]} coordinates do not fit {self.latent_size} of the "
                "model."
            )
        grid = FourierGrid(len(self.mean.data), self.mean.voxel_size[0])
        at = eqx.filter_jit(DisplacedMixture.at)
        for point in latent:
            moved = at(self.mixture, jnp.asarray(point, self.mixture.reference.positions.dtype))
            assert isinstance(moved, GaussianMixture | Gaussians)
            yield np.asarray(band_limited_density(moved, grid), np.float32)

    def volume(self, mask: Float[np.ndarray, "n n n"]) -> DisplacedMixture:
        """The model that images are compared with: it has nothing outside a mask."""
        del mask
        return self.mixture

    def eigenvalues(self) -> Float[np.ndarray, " k"]:
        """Power of the change by one unit of each coordinate over that of the map at rest."""
        ends = np.concatenate([np.eye(self.latent_size), -np.eye(self.latent_size)])
        maps = np.stack(list(self(np.concatenate([np.zeros((1, self.latent_size)), ends]))))
        plus, minus = np.split(maps[1:].astype(np.float64), 2)
        power = np.sum(np.square(maps[0], dtype=np.float64))
        return np.sum(((plus - minus) / 2) ** 2, axis=(1, 2, 3)) / power


def mixture_maps(run: RunFolder) -> MixtureMaps:
    """Of `model/` and `volumes/mean.mrc`. Raises as `load_mixture` does."""
    return MixtureMaps(mean=run.volume("mean"), mixture=load_mixture(run).volume)
