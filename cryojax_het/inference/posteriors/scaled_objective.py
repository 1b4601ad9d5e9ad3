"""What is minimised, or sampled, of one image: misfit and prior in units of the prior's widths."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from ...imaging.image import Latents, render
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.base import AbstractVolume
from ..prior import AbstractPrior
from .unknowns import AbstractUnknowns


class ScaledObjective(eqx.Module):
    """`-log p(y, u)` of one image, up to a constant, in scaled unknowns `u = v · scale`.

    - `data`: the image, where its latents start, its optics;
    - `scale`: widths of the prior there, 1 where it is flat; `centre`: where the prior wants `v`.
    """

    unknowns: AbstractUnknowns
    noise: AbstractGaussianNoise
    prior: AbstractPrior
    volume: AbstractVolume
    data: tuple
    grid: FourierGrid
    scale: Float[Array, " p"]
    centre: Float[Array, " p"]

    @classmethod
    def of(cls, unknowns, known, data, grid):
        noise, prior, volume = known
        image, start, optics = data
        size = unknowns.count(len(start.conformation))
        penalty = lambda u: -prior.log_prob(unknowns.moved(start, u), start)
        origin = jnp.zeros(size, image.real.dtype)
        slope, bend = jax.grad(penalty)(origin), jnp.diagonal(jax.hessian(penalty)(origin))
        flat = bend <= 0  # a flat prior has no width: the unknown's own unit
        scale = jnp.where(flat, 1, 1 / jnp.sqrt(jnp.where(flat, 1, bend)))
        centre = jnp.where(flat, 0, -slope * scale)
        own = noise.of_group(optics.group)
        return cls(unknowns, own, prior, volume, data, grid, scale, centre)

    def latents(self, v) -> Latents:
        return self.unknowns.moved(self.data[1], v * self.scale)

    def rendered(self, v):
        """The noiseless image."""
        return render(self.volume, self.latents(v), self.data[2], self.grid)

    def residual(self, v):
        return self.noise.whiten(self.data[0] - self.rendered(v), self.grid)

    def penalty(self, v):
        return -self.prior.log_prob(self.latents(v), self.data[1])

    def objective(self, v):
        return 0.5 * jnp.sum(self.residual(v) ** 2) + self.penalty(v)
