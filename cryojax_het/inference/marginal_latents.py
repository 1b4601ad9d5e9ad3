"""Latents of images summed over a grid: what is left is a density of the parameters alone."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from .joint import Joint, Widths, log_likelihood
from .model import Model


class LatentNodes(eqx.Module):
    """Points of the unknowns of an image, in widths of the prior, and the log volume of each.

    `∫ p(v) p(y | v) dv ≈ Σ_g volume_g p(v_g) p(y | v_g)`
    """

    points: Float[Array, "g p"]
    log_volume: Float[Array, " g"]
    step: Float[Array, " p"]  # between neighbours along each axis

    @classmethod
    def even(cls, counts: tuple[int, ...], reach: float = 4.0) -> "LatentNodes":
        """A product of even grids from `-reach` to `reach`, `counts` points along each axis: for
        smooth integrands that vanish at the ends, the error falls faster than any power."""
        if not counts or min(counts) < 2:
            raise ValueError(f"`counts` must be at least 2 along each unknown. Got {counts}.")
        axes = [np.linspace(-reach, reach, count) for count in counts]
        points = np.array(list(itertools.product(*axes)))
        step = np.array([axis[1] - axis[0] for axis in axes])
        volume = np.full(len(points), np.log(step).sum())
        return cls(jnp.asarray(points), jnp.asarray(volume), jnp.asarray(step))

    def log_joint(
        self, joint: Joint, model: Model, data: tuple, widths: Widths, grid: FourierGrid
    ) -> Float[Array, " g"]:
        """`log volume_g p(v_g) p(y | v_g)` of one image under a prepared model."""
        objective = joint.image(model, data, widths, grid)
        value = lambda v: log_likelihood(objective, v) - objective.penalty(v)
        jacobian = jnp.sum(jnp.log(widths.scale))
        return self.log_volume + jax.vmap(value)(widths.centre + self.points) + jacobian

    def evidence(
        self, joint: Joint, model: Model, batch: Batch, widths: Widths, grid: FourierGrid
    ) -> Float[Array, " b"]:
        """`log p(y)` of each image of `batch`, its latents summed over."""

        def one(image, start, optics, units):
            found = self.log_joint(joint, model, (image, start, optics), units, grid)
            return jax.nn.logsumexp(found)

        return jax.vmap(one)(batch.images, batch.latents, batch.optics, widths)
