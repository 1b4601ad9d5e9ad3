"""A diffusion in the latents' own units, and as a prior of images."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.image import Latents
from ..prior import AbstractPrior, LocalPrior
from .diffusion import AbstractDiffusion


class LatentDensity(eqx.Module):
    """`z = mean + factor x`, `x` of a diffusion: centred and whitened, so that coordinates of all
    sizes are learned alike.

    - `mean`, `factor`: `[d]`, and the lower triangle `[d, d]` of the latents' covariance.
    """

    diffusion: AbstractDiffusion
    mean: Float[Array, " d"]
    factor: Float[Array, "d d"]

    def whitened(self, latent: Float[Array, " d"]) -> Float[Array, " d"]:
        """`x` of `z`."""
        away = latent - self.mean
        return jax.scipy.linalg.solve_triangular(self.factor, away, lower=True)

    def in_units(self, x: Float[Array, " d"]) -> Float[Array, " d"]:
        """`z` of `x`."""
        return self.mean + jnp.matmul(self.factor, x, precision="highest")

    def sample(self, key: PRNGKeyArray) -> Float[Array, " d"]:
        """One draw of the latents."""
        return self.in_units(self.diffusion.sample(key))

    def log_prob(self, latent: Float[Array, " d"]) -> Float[Array, ""]:
        """`log p(z)`, nats."""
        volume = jnp.sum(jnp.log(jnp.abs(jnp.diagonal(self.factor))))
        return self.diffusion.log_prob(self.whitened(latent)) - volume


class DiffusionPrior(AbstractPrior):
    """Poses and contrast as `local` has them, the conformation of a diffusion's density."""

    local: LocalPrior
    density: LatentDensity

    def log_prob(self, latents: Latents, start: Latents):
        still = eqx.tree_at(lambda t: t.conformation, latents, latents.conformation[:0])
        return self.local.log_prob(still, start) + self.density.log_prob(latents.conformation)
