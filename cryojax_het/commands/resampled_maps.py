"""Maps of clusters of a run's images, resampled: one pass over the images for each union."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Int

from ..analysis.fsc import fourier_shell_correlation
from ..analysis.resampled_clusters import ResampledClusters
from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.group_tables import GroupTables, gather
from ..inference.updates import wiener
from ..volumes.kernel import quadratic
from .reconstruct_data import load_data
from .volume_run import FittedRun
from .volume_tables import check_images, run_loader

_BATCH = 64  # images laid down at a time, where the settings leave it open


class ResampledMaps(NamedTuple):
    """Maps of all clusters, in their order, and the mask of the run."""

    maps: Float32[np.ndarray, "m n n n"]
    mask: Float32[np.ndarray, "n n n"]
    voxel_size: tuple[float, float, float]


def resampled_maps(run: FittedRun, clusters: ResampledClusters) -> ResampledMaps:
    """Back-projection of every cluster at the poses of the run, Wiener-filtered as the half-maps
    of all images warrant for so many. Raises as `load_data` and `check_images` do."""
    half, noise, mask = run.half(), run.noise(), run.mask()
    data = load_data(run.settings)
    check_images(run, data, noise, mask)
    grid = FourierGrid(data.stored, data.pixel_size).crop(data.size)
    how = ColouredNoise(jnp.asarray(noise, jnp.float32)), grid, quadratic()
    batch = run.settings.batch or _BATCH
    loader = run_loader(run, data, batch)
    maps = []
    for number, member in enumerate(clusters.member):
        first = int(member[member >= 0].min())
        # Both half-sets of a cluster apart: their sums tell the signal.
        groups = np.where(member >= 0, 2 * (member - first) + (half == half.max()), -1)
        count, name = 2 * (int(member.max()) - first + 1), f"union {number + 1}"
        tables = gather(loader.batches, groups, count, batch, how, name)
        maps.append(_solved(tables, mask))
    return ResampledMaps(np.concatenate(maps), mask, run.voxel_size)


def _solved(tables: GroupTables, mask) -> Float32[np.ndarray, "k n n n"]:
    """One map for two groups."""
    which = np.arange(len(tables)) % 2
    none = jnp.zeros(tables.size // 2 + 1, jnp.float32)
    halves = [
        np.asarray(wiener.solve(tables.equations((which == one).astype(float)), none)) * mask
        for one in (0, 1)
    ]
    ratio = wiener.noise_to_signal(jnp.asarray(fourier_shell_correlation(*halves)))
    maps = []
    for cluster in range(len(tables) // 2):
        weights = (np.arange(len(tables)) // 2 == cluster).astype(float)
        share = _share(tables.counts, weights)
        prior = jnp.asarray(ratio / share, jnp.float32)
        maps.append(np.asarray(wiener.solve(tables.equations(weights), prior), np.float32))
    return np.stack(maps)


def _share(counts: Int[np.ndarray, " g"], weights) -> float:
    return max(float(counts @ weights) / float(counts.sum()), 1e-6)
