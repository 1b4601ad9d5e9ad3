"""An encoder taught by the posteriors that another method finds for a few images."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ...imaging.noise import AbstractGaussianNoise
from ..encoders.encoded import Encoded
from ..posterior import Hypotheses


def teaching_loss(
    encoded: Encoded,
    noise: AbstractGaussianNoise,
    batch: Batch,
    taught: Hypotheses,
    grid: FourierGrid,
) -> Float[Array, ""]:
    """Mean over images of `-Σ_h w_h log q(z_h | y)`: the encoder's normal density of what the
    teacher holds possible, the divergence from one to the other up to a constant."""
    belief = encoded.read(noise, batch, grid)
    variance = jnp.diagonal(belief.covariance, axis1=1, axis2=2)[:, None]
    away = taught.latents.conformation - belief.latents.conformation[:, None]
    each = 0.5 * jnp.sum(away**2 / variance + jnp.log(variance), axis=2)
    if taught.covariance is not None:
        own = jnp.diagonal(taught.covariance, axis1=2, axis2=3)
        each = each + 0.5 * jnp.sum(own / variance, axis=2)
    expected = jnp.sum(jnp.exp(taught.log_weight) * each, axis=1)
    return batch.weight @ expected / jnp.maximum(jnp.sum(batch.weight), 1)


class Teaching(eqx.Module):
    """Steps of `optimiser` down the teaching loss; `trainable`: tree like the encoder, True for
    arrays that move. (Hamitouche & Jonić 2022, Front. Mol. Biosci. 9: DeepHEMNMA, with the
    likelihood of a mixture in place of the distance to one answer.)"""

    optimiser: optax.GradientTransformation = eqx.field(static=True)
    trainable: PyTree

    def init(self, encoded: Encoded) -> Any:
        """The optimiser's state."""
        return self.optimiser.init(eqx.filter(encoded, self.trainable))

    def step(self, encoded: Encoded, state: Any, data: tuple, grid: FourierGrid):
        """After one batch, `data` being noise, batch and what is taught of it: encoder, state,
        loss."""
        moving, fixed = eqx.partition(encoded, self.trainable)
        noise, batch, taught = data

        def loss(moving):
            return teaching_loss(eqx.combine(moving, fixed), noise, batch, taught, grid)

        value, slope = eqx.filter_value_and_grad(loss)(moving)
        changes, state = self.optimiser.update(slope, state, moving)
        return eqx.combine(eqx.apply_updates(moving, changes), fixed), state, value
