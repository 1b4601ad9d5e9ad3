"""Maps of a run whose model is a neural field."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from ..imaging.grid import FourierGrid
from ..particles.mrc import MrcVolume
from ..results.neural_field_store import load_neural_field
from ..results.run import RunFolder
from ..volumes.neural_field import NeuralField
from .fourier_resample import resample_box


@final
@dataclass(frozen=True, kw_only=True)
class NeuralFieldMaps:
    """`V(z)` of the field, on the voxels of the consensus `mean`: evaluated up to the field's own
    Nyquist frequency, beyond which it is zero."""

    mean: MrcVolume
    field: NeuralField

    @property
    def latent_size(self) -> int:
        """Coordinates of a latent."""
        return self.field.latent_size

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float32[np.ndarray, "n n n"]]:
        """The map at each point. Raises `ValueError` for points of other coordinates."""
        if latent.shape[1] != self.latent_size:
            raise ValueError(
                f"Points of {latent.shape[1]} coordinates do not fit {self.latent_size} of the "
                "model."
            )
        size = len(self.mean.data)
        own = 2 * round(size * self.mean.voxel_size[0] / float(self.field.spacing) / 2)
        own = min(own, size)
        grid = FourierGrid(own, jnp.float32(self.mean.voxel_size[0] * size / own))
        for point in latent:
            voxels = _density(self.field, jnp.asarray(point, jnp.float32), grid)
            yield np.asarray(resample_box(np.asarray(voxels, np.float64), size), np.float32)

    def volume(self, mask: Float[np.ndarray, "n n n"]) -> NeuralField:
        """The model that images are compared with. A field of frequencies cannot be masked."""
        del mask
        return self.field

    def eigenvalues(self) -> Float[np.ndarray, " k"]:
        """Power of the change by one unit of each coordinate over that of the map in the middle."""
        ends = np.concatenate([np.eye(self.latent_size), -np.eye(self.latent_size)])
        maps = np.stack(list(self(np.concatenate([np.zeros((1, self.latent_size)), ends]))))
        plus, minus = np.split(maps[1:].astype(np.float64), 2)
        power = np.sum(np.square(maps[0], dtype=np.float64))
        return np.sum(((plus - minus) / 2) ** 2, axis=(1, 2, 3)) / power


@eqx.filter_jit
def _density(field, latent, grid):
    return field.density(latent, grid)


def neural_field_maps(run: RunFolder) -> NeuralFieldMaps:
    """Of `model/` and `volumes/mean.mrc`. Raises as `load_neural_field` does."""
    return NeuralFieldMaps(mean=run.volume("mean"), field=load_neural_field(run))
