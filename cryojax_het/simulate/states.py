"""The conformations that a simulated molecule takes: finitely many, each with its population.

Finite sets keep the truth complete: every image has a state whose map and atoms are on file. A
continuous motion is sampled more finely than any method resolves (100 states, say).
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float


@final
@dataclass(frozen=True, kw_only=True)
class Coordinate:
    """One coordinate of the conformation.

    - `period`: the value at which it closes on itself (2π for an angle); None: an interval.
    - `categorical`: its values are names of classes; only equal or different means anything.
    """

    name: str
    period: float | None = None
    categorical: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class States:
    """S states: `conformation` `[s, d]`, one `Coordinate` per column, and the share `population`
    `[s]` of the images that each has, of sum 1.

    Raises `ValueError` where shapes disagree or populations are no shares.
    """

    coordinates: tuple[Coordinate, ...]
    conformation: Float[np.ndarray, "s d"]
    population: Float[np.ndarray, " s"]

    def __post_init__(self):
        if self.conformation.shape != (len(self.population), len(self.coordinates)):
            raise ValueError(
                f"`conformation` must have one row per population ({len(self.population)}) and one "
                f"column per coordinate ({len(self.coordinates)}). Got {self.conformation.shape}."
            )
        if not len(self.population):
            raise ValueError("A molecule has at least one state. Got none.")
        total = float(self.population.sum())
        if np.any(self.population < 0) or not np.isclose(total, 1.0):
            raise ValueError(f"`population` must be shares of sum 1. Got a sum of {total:g}.")

    def __len__(self) -> int:
        return len(self.population)

    def embedding(self) -> Float[np.ndarray, "s e"]:
        """Points whose Euclidean distances are those between states, each coordinate of range 1.

        An interval takes one column, from 0 to 1; a circle two, of circumference 1; classes one
        each, every two a distance 1 apart. No column for a coordinate that does not vary.
        """
        columns = [np.zeros((len(self), 0))]
        for coordinate, values in zip(self.coordinates, self.conformation.T, strict=True):
            columns.append(_embedded(coordinate, values))
        return np.concatenate(columns, axis=1)

    def distances(self) -> Float[np.ndarray, "s s"]:
        """Euclidean distances between the rows of `embedding`."""
        points = self.embedding()
        return np.linalg.norm(points[:, None] - points, axis=-1)


def one_state() -> States:
    """A rigid molecule."""
    return States(coordinates=(), conformation=np.zeros((1, 0)), population=np.ones(1))


def _embedded(coordinate: Coordinate, values: Float[np.ndarray, " s"]) -> np.ndarray:
    if np.ptp(values) == 0:
        return np.zeros((len(values), 0))
    if coordinate.categorical:
        classes = np.unique(values)
        return (values[:, None] == classes) / np.sqrt(2)
    if coordinate.period is not None:
        angle = 2 * np.pi * values / coordinate.period
        return np.stack([np.cos(angle), np.sin(angle)], axis=1) / (2 * np.pi)
    return ((values - values.min()) / np.ptp(values))[:, None]
