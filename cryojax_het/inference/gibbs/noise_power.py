"""The spectral density of the noise, drawn exactly from the inverse gamma that it has given all
else."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging.image import render
from ..parameter_prior import InverseGammaPower
from .block import AbstractBlock, Place, World

POWER = "noise.power"


class AbstractNoisePower(AbstractBlock[tuple]):
    """`P ~ InverseGamma(shape + ½ n, rate + ½ m)` of `n` real degrees of freedom and `m` their
    squared residuals in units of `P = 1`, under the prior `InverseGammaPower(shape, rate)`."""

    @abc.abstractmethod
    def freedom(self, world: World) -> Float[Array, "..."]:
        """`n`, of the shape of the powers."""

    @abc.abstractmethod
    def misfit(self, world: World, residual: Float[Array, "n y x"]) -> Float[Array, "..."]:
        """`m`, of that shape, from `weights |residual|² / L²` of every coefficient."""

    def start(self, world, place):
        prior = world.joint.priors.get(POWER)
        if not isinstance(prior, InverseGammaPower):
            raise TypeError(
                f"{POWER} is drawn exactly under `InverseGammaPower` alone. Got "
                f"{type(prior).__name__}."
            )
        return ()

    def move(self, key, world, place, tuning, warming):
        prior = world.joint.priors[POWER]
        assert isinstance(prior, InverseGammaPower)
        old = place.values[POWER]
        shape = jnp.broadcast_to(prior.shape, old.shape) + 0.5 * self.freedom(world)
        rate = prior.rate + 0.5 * self.misfit(world, _squares(world, place))
        power = (rate / jax.random.gamma(key, shape, old.shape)).astype(old.dtype)
        return Place({**place.values, POWER: power}, place.scaled), tuning, {}


class WhiteNoisePower(AbstractNoisePower):
    """Of `WhiteNoise`: every pixel counts."""

    def freedom(self, world):
        size = world.grid.size
        return jnp.asarray(float(len(world.batch.index) * size**2))

    def misfit(self, world, residual):
        return residual.sum()


class ColouredNoisePower(AbstractNoisePower):
    """Of `ColouredNoise` `[g, s]`: each shell of each optics group for itself."""

    groups: int = eqx.field(static=True)
    shells: int = eqx.field(static=True)

    def freedom(self, world):
        grid = world.grid
        weights = grid.weights() * jnp.asarray(grid.inside(), grid.pixel_size.dtype)
        count = len(world.batch.index)
        return self._binned(world, jnp.broadcast_to(weights, (count, *weights.shape)))

    def misfit(self, world, residual):
        return self._binned(world, residual * jnp.asarray(world.grid.inside(), residual.dtype))

    def _binned(self, world, values):
        shell = np.minimum(world.grid.shells(), self.shells - 1).ravel()
        flat = values.reshape(len(values), -1)
        each = jax.vmap(lambda row: jax.ops.segment_sum(row, shell, self.shells))(flat)
        return jax.ops.segment_sum(each, world.batch.optics.group, self.groups)


def _squares(world: World, place: Place) -> Float[Array, "n y x"]:
    """`weights |y - x|² / L²` of every coefficient of every image."""
    model, batch, grid = world.joint.prepared(place.values, world.grid), world.batch, world.grid
    latents = world.joint.latents(place.scaled, world.widths, batch.latents)

    def one(image, latent, optics):
        away = image - render(model.volume, latent, optics, grid)
        return grid.weights() * (away.real**2 + away.imag**2) / grid.length**2

    return jax.vmap(one)(batch.images, latents, batch.optics)
