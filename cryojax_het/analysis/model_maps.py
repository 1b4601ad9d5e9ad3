"""Maps at latents of a run whose model gives them one by one."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from ..particles.mrc import MrcVolume


@dataclass(frozen=True, kw_only=True)
class AbstractModelMaps(abc.ABC):
    """`V(z)` of `model`, a volume, on the voxels of the consensus `mean`."""

    mean: MrcVolume
    model: Any

    @abc.abstractmethod
    def one(self, point: Float[np.ndarray, " k"]) -> Float32[np.ndarray, "n n n"]:
        """The map at one point."""

    @property
    def latent_size(self) -> int:
        """Coordinates of a latent."""
        return self.model.latent_size

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float32[np.ndarray, "n n n"]]:
        """The map at each point. Raises `ValueError` for points of other coordinates."""
        if latent.shape[1] != self.latent_size:
            raise ValueError(
                f"Points of {latent.shape[1]} coordinates do not fit {self.latent_size} of the "
                "model."
            )
        yield from map(self.one, latent)

    def volume(self, mask: Float[np.ndarray, "n n n"]) -> Any:
        """The model that images are compared with. A mask changes nothing: what moves has nothing
        outside, and a field of frequencies cannot be masked."""
        del mask
        return self.model

    def eigenvalues(self) -> Float[np.ndarray, " k"]:
        """Power of the change by one unit of each coordinate over that of the map in the middle."""
        ends = np.concatenate([np.eye(self.latent_size), -np.eye(self.latent_size)])
        maps = np.stack(list(self(np.concatenate([np.zeros((1, self.latent_size)), ends]))))
        plus, minus = np.split(maps[1:].astype(np.float64), 2)
        power = np.sum(np.square(maps[0], dtype=np.float64))
        return np.sum(((plus - minus) / 2) ** 2, axis=(1, 2, 3)) / power
