"""How many points a function is evaluated at together, and what its gradient remembers of each."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Pointwise = Callable[[Float[Array, "p 3"]], Float[Array, "p q"]]


class AbstractPointGroups(eqx.Module):
    """A way of evaluating a function of single points at many."""

    @abc.abstractmethod
    def map(self, function: Pointwise, points: Float[Array, "n 3"]) -> Float[Array, "n q"]:
        """`function` of `points`, whatever the way."""


class AllAtOnce(AbstractPointGroups):
    """Together: what GPUs want."""

    def map(self, function, points):
        return function(points)


class InGroups(AbstractPointGroups):
    """`count` points after another `count`, so that what is between two layers stays in a CPU's
    cache. Of a batch, the group of each image goes together."""

    count: int = eqx.field(static=True)

    def map(self, function, points):
        groups = -(-len(points) // self.count)
        # Groups of equal size, so that padding is less than one point a group.
        each = -(-len(points) // groups)
        padded = jnp.pad(points, ((0, groups * each - len(points)), (0, 0)))
        found = jax.lax.map(function, padded.reshape(groups, each, 3))
        return found.reshape(groups * each, -1)[: len(points)]


class Recomputed(AbstractPointGroups):
    """As `groups` does, and again for the gradient, which remembers the points alone: a third more
    arithmetic for memory that no longer grows with the depth of a network."""

    groups: AbstractPointGroups

    def map(self, function, points):
        return self.groups.map(jax.checkpoint(function), points)
