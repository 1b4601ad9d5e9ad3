"""Posterior predictive checks: do images drawn from the posterior look like those seen?

For each draw, a replicate of each image is made and a discrepancy of both computed; the share of
draws where the replicate's is the larger is a p-value, near 0 or 1 where the model does not make
such images. (Gelman, Meng & Stern 1996, Stat. Sinica 6.)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..imaging.grid import FourierGrid
from .gibbs.block import Place, World
from .requirements import gaussian_noise


class Discrepancies(NamedTuple):
    """Of one image, or of each.

    - `square`: `χ²`, misfit of all coefficients; `shells`: mean whitened residual power by shell.
    """

    square: Float[Array, "..."]
    shells: Float[Array, "... s"]


def checked(key: PRNGKeyArray, world: World, place: Place) -> tuple[Discrepancies, Discrepancies]:
    """Of every image, and of a replicate of it, at one draw; batch with `jax.vmap`."""
    model, grid, batch = world.joint.prepared(place.values, world.grid), world.grid, world.batch

    def one(index, data, widths, v):
        objective = world.joint.image(model, data, widths, grid)
        mean = objective.rendered(v)
        again = objective.noise.sample(jax.random.fold_in(key, index), mean, grid)
        about = gaussian_noise(objective.noise, "checked")
        return _of(data[0] - mean, about, grid), _of(again - mean, about, grid)

    data = batch.images, batch.latents, batch.optics
    return jax.vmap(one)(batch.index, data, world.widths, place.scaled)


def p_values(
    seen: Discrepancies, replicated: Discrepancies
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " s"]]:
    """From discrepancies `[draw, image, ...]`: of `χ²` of each image; of each shell's power, mean
    over the images."""
    own = np.mean(np.asarray(replicated.square) >= np.asarray(seen.square), axis=0)
    power = lambda d: np.asarray(d.shells).mean(axis=1)
    return own, np.mean(power(replicated) >= power(seen), axis=0)


def _of(residual, noise, grid: FourierGrid) -> Discrepancies:
    square = noise.precision(grid) * (residual.real**2 + residual.imag**2)
    last = grid.size // 2
    shell = np.minimum(grid.shells(), last).ravel()
    weights = (grid.weights() * (noise.precision(grid) > 0)).ravel()
    summed = lambda x: jax.ops.segment_sum(x, shell, last + 1)
    return Discrepancies(square.sum(), summed(square.ravel()) / jnp.maximum(summed(weights), 1))
