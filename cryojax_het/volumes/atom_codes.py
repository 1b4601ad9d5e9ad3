"""What a network is told of each atom."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractAtomCode(eqx.Module):
    """A vector for each atom."""

    @abc.abstractmethod
    def encode(self, positions: Float[Array, "j 3"]) -> Float[Array, "j q"]:
        """The vectors of atoms whose places in the reference are `positions`, Å."""


class PositionalEncoding(AbstractAtomCode):
    """`(sin, cos)(2π 2^i r/L)` of each coordinate, `i = 0 ... count - 1`, and `2 r/L`: atoms near
    each other are alike, so that what the network makes of them is smooth in space.

    `longest`: `L`, Å, as large as the molecule. (Mildenhall et al. 2020, ECCV.)
    """

    longest: float = eqx.field(static=True)
    count: int = eqx.field(static=True, default=6)

    def encode(self, positions):
        waves = jnp.asarray(2 * np.pi * 2.0 ** np.arange(self.count), positions.dtype)
        phase = (positions[..., None] * (waves / self.longest)).reshape(len(positions), -1)
        plain = positions * (2 / self.longest)
        return jnp.concatenate([plain, jnp.sin(phase), jnp.cos(phase)], axis=1)


class AtomEmbedding(AbstractAtomCode):
    """A learned vector for each atom, wherever it is: neighbours may move unlike each other."""

    table: Float[Array, "j q"]

    def encode(self, positions):
        del positions
        return self.table


def random_embedding(key: PRNGKeyArray, atoms: int, size: int) -> AtomEmbedding:
    """Standard normal vectors to begin with."""
    return AtomEmbedding(jax.random.normal(key, (atoms, size)))
