"""Which stretch of the chain each atom belongs to."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class AbstractSegments(eqx.Module):
    """Weights of segments over atoms."""

    @abc.abstractmethod
    def weights(self) -> Float[Array, "j s"]:
        """How much each atom belongs to each segment; rows add up to 1."""


class HardSegments(AbstractSegments):
    """Each atom in one segment, `segment` `[j]` from 0 to `count` - 1."""

    segment: Int[Array, " j"]
    count: int = eqx.field(static=True)

    def weights(self):
        return jax.nn.one_hot(self.segment, self.count)


class SoftSegments(AbstractSegments):
    """Segments as normal densities over the residues' places in the chain,

    `w_js ∝ (exp(-½((x_j - m_s)/l_s)²) / l_s)^(1/T)`,

    so that where segments end can be learned. (Ducrocq et al. 2024, arXiv:2412.16155.)

    - `place`: `x`, of each atom's residue in the chain; chains far apart do not mix.
    - `centre`, `log_extent`: `m` and `log l` of each segment, in residues; `temperature`: `T`.
    """

    place: Float[Array, " j"]
    centre: Float[Array, " s"]
    log_extent: Float[Array, " s"]
    temperature: float = eqx.field(static=True, default=0.05)

    def weights(self):
        away = (self.place[:, None] - self.centre) * jnp.exp(-self.log_extent)
        return jax.nn.softmax((-0.5 * away**2 - self.log_extent) / self.temperature, axis=1)


def even_segments(place: Float[Array, " j"], count: int, temperature: float = 0.05) -> SoftSegments:
    """`count` equal stretches between the first residue and the last."""
    first, last = jnp.min(place), jnp.max(place)
    length = (last - first) / count
    centre = first + length * (jnp.arange(count) + 0.5)
    extent = jnp.full(count, jnp.log(length / 2), place.dtype)
    return SoftSegments(place, centre.astype(place.dtype), extent, temperature)
