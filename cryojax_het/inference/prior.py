"""What is known of the latents before an image is seen."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from ..imaging import rotation as so3
from ..imaging.image import Latents


class AbstractPrior(eqx.Module):
    """A density over the latents of one image."""

    @abc.abstractmethod
    def log_prob(self, latents: Latents, start: Latents) -> Float[Array, ""]:
        """Log density of `latents`; `start` is where the pass began: what the particle file says
        of the image, or what an earlier pass found."""


class LocalPrior(AbstractPrior):
    """Poses near those given, contrast near `contrast_mean`, conformation standard normal.

    `log p = log N(angle to the start; 0, σ_R²) + log N(shift; start, σ_t²) + log N(s; μ, ρ²)
    + log N(z; 0, 1)`, the rotation's density up to a constant.
    """

    angle: Float[Array, ""] = eqx.field(converter=jnp.asarray)  # σ_R, radians
    shift: Float[Array, ""] = eqx.field(converter=jnp.asarray)  # σ_t, Å
    contrast_mean: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    contrast_width: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    @classmethod
    def of_contrast(cls, width: float) -> "LocalPrior":
        """For those who look at the contrast alone: about 1, poses being as given."""
        real = lambda x: jnp.asarray(x, jnp.float32)
        return cls(real(1.0), real(1.0), real(1.0), real(width))

    def log_prob(self, latents, start):
        turn = so3.log(latents.rotation @ start.rotation.T)
        contrast = norm.logpdf(latents.contrast, self.contrast_mean, self.contrast_width)
        return (
            norm.logpdf(turn, scale=self.angle).sum()
            + norm.logpdf(latents.shift, start.shift, self.shift).sum()
            + norm.logpdf(latents.conformation).sum()
            + contrast
        )
