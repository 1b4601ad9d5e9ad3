"""A basis of what varies, from the scatter of resampled reconstructions: two passes."""

from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from ..inference import group_tables
from ..inference.posteriors.band_limited import without_shells
from ..inference.resampled_pca import (
    balanced_groups,
    group_maps,
    principal_directions,
    residual_images,
    without_covariance,
)
from ..inference.updates.principal_volumes import shell_power
from ..particles.loader import Placement
from ..volumes.kernel import quadratic
from ..volumes.voxels import Voxels
from .image_preparation import image_loader
from .linear_basis import AbstractBases

_GROUPS, _LEAST = 200, 8  # groups of images, each of at least so many
_SHARE = 0.1  # of the mean's power: what varies, before anything is known


@final
class ResampledBases(AbstractBases):
    """As many volumes as components are wanted, of all images; few enough to be read by all."""

    def find(self, setting, rows):
        box = setting.latent_box
        mask = jnp.asarray(setting.mask(box), jnp.float32)
        mean = jnp.asarray(setting.mean(box), jnp.float32) * mask
        variance = _SHARE * np.asarray(shell_power(mean[None], setting.grid(box).pixel_size))[0]
        count = max(2, min(_GROUPS, len(rows) // _LEAST))
        groups = np.full(len(setting.data.particles), -1)
        rotation = np.asarray(setting.data.particles.rotation)[rows]
        groups[rows] = balanced_groups(rotation, count, setting.config.seed)
        key = jax.random.key(setting.config.seed)
        as_is, signs = lambda batch: batch, lambda batch: without_covariance(batch, key)
        maps, floor = (
            group_maps(_tables(setting, mean, groups, change, name), variance, mask)
            for change, name in ((as_is, "groups"), (signs, "noise floor"))
        )
        return [principal_directions(maps, floor, setting.config.largest)]

    def readers(self, setting, rows):
        return [rows]


def _tables(setting, mean, groups, change, name) -> group_tables.GroupTables:
    """Of the residuals of each group, after `change`."""
    box, count = len(mean), int(groups.max()) + 1
    grid, prior = setting.grid(box), setting.prior
    noise = without_shells(setting.noise, setting.first_shell, grid)
    volume = Voxels(voxels=mean, spacing=grid.pixel_size).prepare(grid)
    contrast = (prior.contrast_mean, prior.contrast_width)
    largest = int(np.bincount(groups[groups >= 0]).max())
    size = min(setting.data.batch_size(setting.config.batch, 1), largest)
    # Every process does the whole of it, on one device: groups come one after the other.
    placement = Placement(lambda tree: jax.tree.map(jnp.asarray, tree))
    loader = image_loader(setting.config, setting.data, box, size, placement)
    residual = jax.jit(
        lambda batch, volume: change(residual_images(batch, volume, noise, contrast, grid))
    )
    batches = lambda plan: (residual(batch, volume) for batch in loader.batches(plan))
    how = (noise, grid, quadratic())
    return group_tables.gather(batches, groups, count, size, how, name)
