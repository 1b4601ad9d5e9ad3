"""Maps of many draws of a volume: their mean, and how uncertain each voxel is."""

from collections.abc import Callable, Iterable

import jax.numpy as jnp
from jaxtyping import Array, Float

Map = Float[Array, "*p n n n"]  # one map, or one of each of several terms


def mean_and_deviation(maps: Iterable[Map]) -> tuple[Map, Map]:
    """Pointwise mean and standard deviation of `maps`, one at a time, by Welford's recurrence.

    `ValueError` for fewer than 2.
    """
    count, mean, square = 0, jnp.zeros(()), jnp.zeros(())
    for one in maps:
        count += 1
        away = one - mean
        mean = mean + away / count
        square = square + away * (one - mean)
    if count < 2:
        raise ValueError(f"A standard deviation needs at least 2 maps. Got {count}.")
    return mean, jnp.sqrt(square / (count - 1))


def maps_of(
    density: Callable[[Float[Array, "..."]], Map], draws: Float[Array, "d ..."]
) -> Iterable[Map]:
    """The map of each draw of the parameters: `density` of one, compiled by the caller."""
    for one in draws:
        yield density(one)
