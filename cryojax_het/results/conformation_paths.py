"""Conformations of a run as trajectories of coordinates, and the principal components of latents.

```
trajectories/   latent_01.cif, .pdb, .dcd along each latent; component_01 ... along each component
analysis/       latent_components.npz, latent_components.csv
```
"""

import logging
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from ..structures.frames import Frames
from ..structures.write_models import write_mmcif, write_pdb
from ..structures.write_trajectory import write_dcd
from .disk import explained, write_arrays
from .mixture_store import StoredMixture, save_mixture
from .run import RunFolder

LOG = logging.getLogger("cryojax_het")
_ENDS = (0.02, 0.98)  # quantiles of the images between which a trajectory runs
_FRAMES = 20


@final
@dataclass(frozen=True, kw_only=True)
class LatentComponents:
    """Principal components of latents: `mean`, orthonormal rows `axes`, the largest first, the
    `variances` along them, and each row's `coordinates`."""

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d d"]
    variances: Float[np.ndarray, " d"]
    coordinates: Float[np.ndarray, "n d"]


def write_conformations(
    folder: RunFolder, stored: StoredMixture, latents: Float[np.ndarray, "n d"]
) -> list[str]:
    """The model, the principal components of its latents, and trajectories; the names of these."""
    save_mixture(folder, stored)
    components = latent_components(latents)
    write_components(folder, components)
    return write_trajectories(folder, stored, components)


def latent_components(latents: Float[np.ndarray, "n d"]) -> LatentComponents:
    """Of the point estimates, whose scatter is that of molecules less what each is uncertain of."""
    mean = latents.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(latents.T, bias=True)))
    axes = vectors.T[::-1]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    return LatentComponents(
        mean=mean,
        axes=axes,
        variances=np.maximum(values[::-1], 0),
        coordinates=(latents - mean) @ axes.T,
    )


def write_components(folder: RunFolder, found: LatentComponents) -> None:
    """As arrays by name, and the axes with their variances as a table."""
    place = folder.folder("analysis")
    with explained(place):
        write_arrays(place / "latent_components.npz", vars(found))
        count = len(found.variances)
        share = found.variances / max(found.variances.sum(), 1e-30)
        rows = np.column_stack([np.arange(1, count + 1), found.variances, share, found.axes])
        header = "component,variance,share," + ",".join(f"latent_{k + 1}" for k in range(count))
        path = place / "latent_components.csv"
        np.savetxt(path, rows, delimiter=",", header=header, comments="", fmt="%.6g")


def write_trajectories(
    folder: RunFolder, stored: StoredMixture, found: LatentComponents, components: int = 3
) -> list[str]:
    """Along each latent, the others at their means, and along the first principal components, each
    from where few images are below to where few are above. Returns the names."""
    latents = found.mean + found.coordinates @ found.axes
    count = len(found.mean)
    paths = {}
    for k in range(count):
        points = np.tile(found.mean, (_FRAMES, 1))
        points[:, k] = _between_ends(latents[:, k])
        paths[f"latent_{k + 1:02d}"] = points
    for k in range(min(components, count)):
        along = _between_ends(found.coordinates[:, k])
        paths[f"component_{k + 1:02d}"] = found.mean + along[:, None] * found.axes[k]
    for name, points in paths.items():
        _write(folder, name, stored.frames(points))
    return list(paths)


def _between_ends(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " f"]:
    low, high = np.quantile(values, _ENDS)
    return np.linspace(low, high, _FRAMES)


def _write(folder: RunFolder, name: str, frames: Frames) -> None:
    place = folder.folder("trajectories")
    with explained(place):
        write_mmcif(place / f"{name}.cif", frames)
        try:
            write_pdb(place / f"{name}.pdb", frames)
        except ValueError as error:  # mmCIF has it all
            LOG.info("%s.pdb is left out: %s", name, error)
        try:
            write_dcd(place / f"{name}.dcd", frames)
        except ImportError as error:
            LOG.info("%s.dcd is left out: %s", name, error)
