"""What is known of normal-mode amplitudes before an image is seen."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from .prior import AbstractPrior, LocalPrior


class ModePrior(AbstractPrior):
    """Amplitudes `b_k ~ N(0, w_k²)`; poses and contrast as under a `LocalPrior`.

    - `widths`: `w`; a stiff mode is excited less, `w_k ∝ 1/√λ_k` (see `thermal_widths`).
    """

    widths: Float[Array, " k"]
    pose: LocalPrior

    def log_prob(self, latents, start):
        still = jnp.zeros_like(latents.conformation)
        rest = eqx.tree_at(lambda t: t.conformation, latents, still)
        unmoved = norm.logpdf(still).sum()
        amplitudes = norm.logpdf(latents.conformation, scale=self.widths).sum()
        return self.pose.log_prob(rest, start) - unmoved + amplitudes


def thermal_widths(eigenvalues: Float[Array, " k"], softest: float) -> Float[Array, " k"]:
    """`s √(λ_1/λ_k)`, the widths at one temperature; `softest` `s`, that of the first mode."""
    return softest * jnp.sqrt(eigenvalues[0] / eigenvalues)
