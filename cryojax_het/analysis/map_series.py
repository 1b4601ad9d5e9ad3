"""Maps at points of a latent space, written as a numbered series.

A folder of `map_000.mrc, map_001.mrc, ...` opens in ChimeraX as one volume series:

    open RUN/analysis/component_01/map_*.mrc vseries true
    vseries play #1 loop true
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from ..particles.mrc import MrcVolume, write_volume
from ..results.run import RunFolder
from ..volumes.linear import LinearVolume
from ..volumes.voxels import Voxels

# Points [m, d] of the latent space in, their maps one by one out, each [z, y, x].
MapsAt = Callable[[np.ndarray], Iterator[np.ndarray]]


@final
@dataclass(frozen=True, kw_only=True)
class LinearMaps:
    """`V(z) = mean + Σ_k z_k X_k` from the volumes of a run of a linear model."""

    mean: MrcVolume
    components: Float32[np.ndarray, "k n n n"]

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float32[np.ndarray, "n n n"]]:
        """The map at each point. Raises `ValueError` for points of other coordinates."""
        if latent.shape[1] != len(self.components):
            raise ValueError(
                f"Points of {latent.shape[1]} coordinates do not fit {len(self.components)} "
                "components."
            )
        for point in latent.astype(np.float32):
            yield self.mean.data + np.tensordot(point, self.components, axes=1)

    def volume(self, mask: Float[np.ndarray, "n n n"]) -> LinearVolume:
        """The model that images are compared with, under a mask: what lies outside is noise of
        these same images."""
        spacing = self.mean.voxel_size[0]
        mean = Voxels(voxels=jnp.asarray(self.mean.data * mask), spacing=spacing)
        parts = jnp.asarray(self.components * mask)
        components = eqx.filter_vmap(lambda v: Voxels(voxels=v, spacing=spacing))(parts)
        return LinearVolume(mean=mean, components=components, latent_size=len(parts))

    @property
    def latent_size(self) -> int:
        """Coordinates of a latent."""
        return len(self.components)

    def eigenvalues(self) -> Float[np.ndarray, " k"]:
        """Variance of each component over the power of the mean, `|X_k|² / |mean|²`."""
        squares = np.sum(np.square(self.components, dtype=np.float64), axis=(1, 2, 3))
        return squares / np.sum(np.square(self.mean.data, dtype=np.float64))


def linear_maps(run: RunFolder) -> LinearMaps:
    """Of `volumes/mean.mrc` and `volumes/component_01.mrc` onwards.

    Raises `FileNotFoundError` where the run has none: it is of no linear model.
    """
    names = sorted(path.stem for path in run.folder("volumes").glob("component_*.mrc"))
    if not names:
        raise FileNotFoundError(
            f"{run.path} has no volumes/component_01.mrc: it is no run of `fit --volume linear`."
        )
    components = [np.asarray(run.volume(name).data, np.float32) for name in names]
    return LinearMaps(mean=run.volume("mean"), components=np.stack(components))


@final
@dataclass(frozen=True, kw_only=True)
class Masked:
    """The maps of another, times `mask`."""

    maps: MapsAt
    mask: Float[np.ndarray, "n n n"]

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float[np.ndarray, "n n n"]]:
        """The masked map at each point."""
        for volume in self.maps(latent):
            yield volume * self.mask


def write_series(
    folder: Path,
    latent: Float[np.ndarray, "m k"],
    maps: MapsAt,
    voxel: tuple[float, float, float],
) -> Path:
    """Write `map_000.mrc`, ... at the points, `latents.npy` beside them; maps of an earlier series
    there are removed. `voxel`: sides in Å. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("map_*.mrc"):
        earlier.unlink()
    for number, volume in enumerate(maps(latent)):
        data = np.asarray(volume, np.float32)
        write_volume(folder / f"map_{number:03d}.mrc", MrcVolume(data, voxel))
    np.save(folder / "latents.npy", latent.astype(np.float32))
    return folder


def read_series(folder: Path) -> Iterator[Float32[np.ndarray, "n n n"]]:
    """The maps of a series in order, one at a time."""
    from ..particles.mrc import read_volume

    for path in sorted(folder.glob("map_*.mrc")):
        yield np.asarray(read_volume(path).data, np.float32)
