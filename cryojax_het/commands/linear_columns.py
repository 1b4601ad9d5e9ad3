"""A basis of what varies, from columns of the covariance: one pass over the images."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..inference.covariance_columns import (
    ColumnEquations,
    choose_frequencies,
    leading_directions,
    solve_columns,
)
from ..inference.devices import own_part, place_batch
from ..inference.half_maps import plan_batches
from ..inference.model import Model
from ..inference.posteriors.as_given import AsGiven
from ..inference.posteriors.band_limited import without_shells
from ..inference.requirements import gaussian_noise, local_prior
from ..inference.updates.on_devices import add_on_devices, empty_sums
from ..inference.updates.principal_volumes import shell_power
from ..particles.loader import Placement
from ..volumes.kernel import quadratic
from ..volumes.linear import FourierLinear, linear_of
from .image_pass import image_pass
from .image_preparation import image_loader, particle_radius
from .linear_basis import AbstractBases

_BATCH = 32  # images a device lays down at once: each has some hundred channels
_SMOOTH = 1.8  # steps of a box that the particle fills
_FREQUENCIES, _DIRECTIONS = 12, 8  # beyond twice the number of components


@final
class ColumnBases(AbstractBases):
    """Of each half-set a basis of `2K + 8` volumes for K components, for the images of the other:
    in a basis of their own images noise would make up most of the smaller variances."""

    def find(self, setting, rows):
        box, count = setting.latent_box, setting.config.largest
        grid, mask = setting.grid(box), jnp.asarray(setting.mask(box), jnp.float32)
        mean = jnp.asarray(setting.mean(box), jnp.float32) * mask
        power = np.asarray(shell_power(mean[None], grid.pixel_size))[0]
        points = choose_frequencies(power, 2 * count + _FREQUENCIES, setting.first_shell)
        halves = _gathered(setting, rows, mean, jnp.asarray(points, jnp.float32))
        columns = np.asarray(solve_columns(halves, mask))
        return [leading_directions(half, 2 * count + _DIRECTIONS) for half in columns]

    def readers(self, setting, rows):
        half = setting.data.particles.half[rows]
        return [rows[half == other] for other in (2, 1)]


def _reach(setting) -> float:
    """Of the tents: the transform of a molecule is smooth over the inverse of its diameter."""
    radius = particle_radius(setting.config, setting.data)
    return _SMOOTH * setting.data.stored / (2 * radius)


def _gathered(setting, rows, mean, points) -> tuple[ColumnEquations, ColumnEquations]:
    """The equations of either half-set."""
    box, mesh = len(mean), setting.mesh
    grid, config = setting.grid(box), setting.config
    batch_size = setting.data.batch_size(config.batch, mesh.size)
    placement = Placement(place_batch(mesh), own_part)
    size = min(batch_size, _BATCH * mesh.size)
    loader = image_loader(config, setting.data, box, size, placement)
    # The component is not looked at.
    volume = linear_of(jnp.stack([mean, 0 * mean]), grid.pixel_size, quadratic()).prepare(grid)
    noise = without_shells(setting.noise, setting.first_shell, grid)
    model = Model(volume, noise, setting.prior, AsGiven())
    reach = _reach(setting)
    empty = lambda: ColumnEquations.zeros(points, box, grid.pixel_size, quadratic(), reach)
    sums = [empty_sums(mesh, empty) for _ in range(2)]
    half = np.zeros(len(setting.data.particles), int)
    half[rows] = setting.data.particles.half[rows]
    plan = plan_batches(half, size)
    coming = image_pass(loader, [planned.rows for planned in plan], "columns")
    for planned, batch in zip(plan, coming, strict=True):
        sums[planned.half] = _step((model, batch, grid, mesh), sums[planned.half])
        # One batch at a time: bounded memory, true progress.
        jax.block_until_ready(sums[planned.half])
    one, two = (_total(held, points, grid) for held in sums)
    return one, two


@eqx.filter_jit(donate="all-except-first")
def _step(others, sums):
    model, batch, grid, mesh = others
    return add_on_devices(mesh, _add, sums, batch, model, grid, jax.random.key(0))[0]


def _add(own, posterior, batch, model, grid):
    del posterior  # poses are as given, contrasts follow from the mean
    assert isinstance(model.volume, FourierLinear)
    prior = local_prior(model.prior, "ColumnEquations")
    contrast = (prior.contrast_mean, prior.contrast_width)
    noise = gaussian_noise(model.noise, "ColumnEquations")
    return own.add(batch, model.volume, noise, contrast, grid)


@eqx.filter_jit
def _total(sums, points, grid):
    """Of all devices; what all of them hold alike is not summed."""
    table = sums.table.sum(axis=0)
    return ColumnEquations(table, grid.pixel_size, points, sums.size, sums.kernel, sums.reach)
