"""Fields that are no larger than the images want them."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...volumes.flow import AbstractFlow
from ..training.conformation_energy import AbstractConformationEnergy


class SmallCoefficients(AbstractConformationEnergy):
    """`λ |α(z)|²` of the coefficients (Å) that a flow is expanded in.

    (Herreros et al. 2023, Nat. Commun. 14, with `λ` = 1e-4.) `TypeError` unless the mixture is
    moved by a flow.
    """

    weight: Float[Array, ""]

    def energy(self, volume, latent):
        flow = volume.displacement
        if not isinstance(flow, AbstractFlow):
            kind = type(flow).__name__
            raise TypeError(f"Only a flow has coefficients. Got {kind}.")
        coefficients = flow.motion.vectors(latent)
        return self.weight.astype(coefficients.dtype) * jnp.sum(coefficients**2)
