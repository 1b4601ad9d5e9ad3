"""Poses of which nothing is known, in the chart of rotation vectors about a start."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from ..imaging import rotation as so3
from .prior import AbstractPrior


def log_haar(vector: Float[Array, "3"]) -> Float[Array, ""]:
    """Log density of the uniform distribution of rotations over rotation vectors `ω`, `|ω| < π`.

    `p(ω) = (1 - cos θ) / (4π² θ²)`, `θ = |ω|`: less than even far out, where a step of the vector
    turns by less. Smooth at zero.
    """
    square = vector @ vector
    small = square < 1e-3
    safe = jnp.where(small, 1.0, square)
    half = jnp.sqrt(safe) / 2
    ratio = jnp.where(small, 1 - square / 12 + square**2 / 360, (jnp.sin(half) / half) ** 2)
    return jnp.log(ratio) - jnp.log(8 * jnp.pi**2)


class UniformPosePrior(AbstractPrior):
    """Rotations uniform over all, shift near the start, contrast near `contrast_mean`,
    conformation standard normal.

    `log p = log_haar(ω) + log N(shift; start, σ_t²) + log N(s; μ, ρ²) + log N(z; 0, 1)`, a density
    over `ω`, `R = exp([ω]×) R₀`, as every prior of rotations here is.
    """

    shift: Float[Array, ""] = eqx.field(converter=jnp.asarray)  # σ_t, Å
    contrast_mean: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    contrast_width: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def log_prob(self, latents, start):
        turn = so3.log(latents.rotation @ start.rotation.T)
        return (
            log_haar(turn)
            + norm.logpdf(latents.shift, start.shift, self.shift).sum()
            + norm.logpdf(latents.conformation).sum()
            + norm.logpdf(latents.contrast, self.contrast_mean, self.contrast_width)
        )
