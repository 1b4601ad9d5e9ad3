"""Maps of a run whose model is a map that a field deforms."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from ..imaging.grid import FourierGrid
from ..particles.mrc import MrcVolume
from ..results.flow_store import load_flow
from ..results.run import RunFolder
from ..volumes.displaced import DisplacedMixture


@final
@dataclass(frozen=True, kw_only=True)
class FlowMaps:
    """`V(z)`, the reference pushed to where the field has its voxels, on those of the consensus
    `mean`."""

    mean: MrcVolume
    volume_at: DisplacedMixture

    @property
    def latent_size(self) -> int:
        """Coordinates of a latent."""
        return self.volume_at.latent_size

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float32[np.ndarray, "n n n"]]:
        """The map at each point. Raises `ValueError` for points of other coordinates."""
        if latent.shape[1] != self.latent_size:
            raise ValueError(
                f"Points of {latent.shape[1]} coordinates do not fit {self.latent_size} of the "
                "model."
            )
        grid = FourierGrid(len(self.mean.data), jnp.float32(self.mean.voxel_size[0]))
        at = eqx.filter_jit(DisplacedMixture.density)
        for point in latent:
            yield np.asarray(at(self.volume_at, jnp.asarray(point, jnp.float32), grid))

    def volume(self, mask: Float[np.ndarray, "n n n"]) -> DisplacedMixture:
        """The model that images are compared with: it has nothing outside a mask."""
        del mask
        return self.volume_at

    def eigenvalues(self) -> Float[np.ndarray, " k"]:
        """Power of the change by one unit of each coordinate over that of the map at rest."""
        ends = np.concatenate([np.eye(self.latent_size), -np.eye(self.latent_size)])
        maps = np.stack(list(self(np.concatenate([np.zeros((1, self.latent_size)), ends]))))
        plus, minus = np.split(maps[1:].astype(np.float64), 2)
        power = np.sum(np.square(maps[0], dtype=np.float64))
        return np.sum(((plus - minus) / 2) ** 2, axis=(1, 2, 3)) / power


def flow_maps(run: RunFolder) -> FlowMaps:
    """Of `model/` and `volumes/mean.mrc`. Raises as `load_flow` does."""
    return FlowMaps(mean=run.volume("mean"), volume_at=load_flow(run))
