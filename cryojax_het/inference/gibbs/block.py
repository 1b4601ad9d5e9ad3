"""What a part of the unknowns is to a Gibbs sampler: something that moves, all else held."""

import abc
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ..joint import Joint, Parameters, Widths

Tuning = TypeVar("Tuning")


class World(eqx.Module):
    """What does not change: the joint density, the images, units of their unknowns."""

    joint: Joint
    batch: Batch
    widths: Widths
    grid: FourierGrid

    @classmethod
    def of(cls, joint: Joint, batch: Batch, grid: FourierGrid) -> "World":
        """Of these images, under this density."""
        return cls(joint, batch, joint.widths(batch, grid), grid)


class Place(NamedTuple):
    """Where one chain is.

    - `values`: parameters in their own units by path, and what blocks add of their own;
    - `scaled`: unknowns of every image, in widths of their prior.
    """

    values: Parameters
    scaled: Float[Array, "n p"]


class AbstractBlock(eqx.Module, Generic[Tuning]):
    """A random move that keeps the joint density, of one chain; batch with `jax.vmap`.

    What it tunes while warming up is its own, kept from sweep to sweep.
    """

    @abc.abstractmethod
    def start(self, world: World, place: Place) -> Tuning:
        """Tuning before the first move."""

    @abc.abstractmethod
    def move(
        self,
        key: PRNGKeyArray,
        world: World,
        place: Place,
        tuning: Tuning,
        warming: Bool[Array, ""],
    ) -> tuple[Place, Tuning, dict[str, Shaped[Array, "..."]]]:
        """The next place, the tuning then, and what there is to say of the move."""
