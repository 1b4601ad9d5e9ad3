"""The states of a molecule: a grid over its coordinates, and the share of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .motion_settings import Basin, PopulationSettings
from .states import Coordinate, States, one_state


class Axis(NamedTuple):
    """A coordinate with its values in the grid, in the units of the settings, each of which is
    `unit` of the coordinate's own: π/180 for angles."""

    coordinate: Coordinate
    values: Float[np.ndarray, " v"]
    unit: float = 1.0


def even_axis(
    coordinate: Coordinate, limits: tuple[float, float], count: int, unit: float = 1.0
) -> Axis:
    """`count` values from the first limit to the last; without the last where the coordinate is
    periodic. Raises `ValueError` where `count` is below 1."""
    if count < 1:
        raise ValueError(f"`{coordinate.name}` must have at least one state. Got {count}.")
    values = np.linspace(*limits, count, endpoint=coordinate.period is None)
    return Axis(coordinate, values, unit)


def grid_states(axes: tuple[Axis, ...], population: PopulationSettings, folder: Path) -> States:
    """All combinations of the axes' values, the last axis running fastest.

    - `folder`: where a relative `population.file` is.

    Raises `ValueError` where the population does not fit the grid or is nothing at all.
    """
    if not axes:
        return one_state()
    mesh = np.meshgrid(*(axis.values for axis in axes), indexing="ij")
    weights = _weights(axes, mesh, population, folder)
    total = float(weights.sum())
    if not total > 0 or np.any(weights < 0):
        raise ValueError(f"Weights of states must not be negative, nor all 0. Sum: {total:g}.")
    columns = [axis.unit * values.ravel() for axis, values in zip(axes, mesh, strict=True)]
    return States(
        coordinates=tuple(axis.coordinate for axis in axes),
        conformation=np.stack(columns, axis=1),
        population=weights.ravel() / total,
    )


def _weights(axes, mesh, population: PopulationSettings, folder: Path) -> np.ndarray:
    shape = mesh[0].shape
    if population.file is not None:
        weights = np.asarray(np.load(folder / population.file), np.float64)
        if weights.shape != shape:
            raise ValueError(
                f"{population.file} must have the shape of the grid of states, {shape}. "
                f"Got {weights.shape}."
            )
        return weights
    if population.weights:
        if len(population.weights) != mesh[0].size:
            raise ValueError(
                f"`weights` must have one entry per state ({mesh[0].size}). "
                f"Got {len(population.weights)}."
            )
        return np.array(population.weights).reshape(shape)
    if not population.basins:
        return np.ones(shape)
    return np.sum([_basin(axes, mesh, basin) for basin in population.basins], axis=0)


def _basin(axes: tuple[Axis, ...], mesh: Sequence[np.ndarray], basin: Basin) -> np.ndarray:
    """`weight · exp(-½ Σ (distance / width)²)`, of sum `weight` over the states."""
    if len(basin.centre) != len(axes):
        raise ValueError(
            f"A basin needs one centre per coordinate ({len(axes)}). Got {basin.centre}."
        )
    square = np.zeros(mesh[0].shape)
    for axis, values, centre, width in zip(axes, mesh, basin.centre, basin.width, strict=True):
        distance = values - centre
        if axis.coordinate.period is not None:
            period = axis.coordinate.period / axis.unit
            distance = distance - period * np.round(distance / period)
        square += (distance / width) ** 2
    share = np.exp(-0.5 * square)
    if not share.sum() > 0:
        raise ValueError(f"No state is near the basin at {basin.centre}: move or widen it.")
    return basin.weight * share / share.sum()
