"""Fields under which space keeps its orientation."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...volumes.displaced import DisplacedMixture
from ...volumes.nearest_rotation import determinant
from ...volumes.zernike_flow import ZernikeFlow, ZernikeRegions
from ..training.conformation_energy import AbstractConformationEnergy

SMALLEST = 0.2  # determinant below which space is about to fold


class Unfolded(AbstractConformationEnergy):
    """`½ κ Σ_j max(0.2 - det(I + Σ_k α_k(z) ∇Z_k(r_j)ᵀ), 0)²` over points `r_j` of a Zernike flow.

    - `slopes`: `∇Z_k` at the points, 1/Å; `folding`: `κ`.

    A field that is smooth and linear in its coefficients may still turn space inside out, where two
    parts that move apart begin. `TypeError` unless the mixture is moved by a `ZernikeFlow`.
    """

    slopes: Float[Array, "j k 3"]
    folding: Float[Array, ""]

    def energy(self, volume, latent):
        coefficients = zernike_flow_of(volume).motion.vectors(latent)
        slopes = self.slopes.astype(coefficients.dtype)
        change = jnp.einsum("jkb,ka->jab", slopes, coefficients, precision="highest")
        folded = jnp.maximum(SMALLEST - determinant(jnp.eye(3, dtype=change.dtype) + change), 0)
        return 0.5 * self.folding.astype(change.dtype) * jnp.sum(folded**2)


def unfolded(regions: ZernikeRegions, points: Float[Array, "j 3"], folding: float) -> Unfolded:
    """Of a flow by the functions of `regions`, at `points`, Å."""
    slopes = eqx.filter_jit(ZernikeRegions.slopes)(regions, points)
    return Unfolded(slopes, jnp.asarray(folding, slopes.dtype))


def zernike_flow_of(volume: DisplacedMixture) -> ZernikeFlow:
    """What moves the mixture. Raises `TypeError` where it is no `ZernikeFlow`."""
    if not isinstance(volume.displacement, ZernikeFlow):
        kind = type(volume.displacement).__name__
        raise TypeError(f"Folding at points is of a `ZernikeFlow`. Got {kind}.")
    return volume.displacement
