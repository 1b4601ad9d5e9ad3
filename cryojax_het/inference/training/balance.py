"""How much a structural prior weighs against the images."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


class AbstractBalance(eqx.Module):
    """A rule for the factor of the prior's gradient."""

    @abc.abstractmethod
    def factor(self, data: Float[Array, ""], prior: Float[Array, ""]) -> Float[Array, ""]:
        """From running means of the norms of both gradients."""


class AsGivenBalance(AbstractBalance):
    """The energies are what they say, negative log densities of an image's conformation."""

    weight: float = eqx.field(static=True, default=1.0)

    def factor(self, data, prior):
        return jnp.full_like(data, self.weight)


class BalancedGradients(AbstractBalance):
    """`share · |data| / |prior|`, at most `most`: the prior pulls as hard as the images do, almost.
    (Schwab et al. 2024, Nat. Methods 21.)"""

    share: float = eqx.field(static=True, default=0.9)
    most: float = eqx.field(static=True, default=1e3)

    def factor(self, data, prior):
        ratio = self.share * data / jnp.where(prior > 0, prior, 1)
        return jnp.where(prior > 0, jnp.minimum(ratio, self.most), 0)


def norm(tree: PyTree) -> Float[Array, ""]:
    """Euclidean length of all arrays of a gradient together."""
    squares = [jnp.sum(x**2) for x in jax.tree.leaves(tree) if eqx.is_inexact_array(x)]
    return jnp.sqrt(sum(squares, start=jnp.zeros(())))
