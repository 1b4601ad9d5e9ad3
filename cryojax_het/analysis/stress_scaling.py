"""Metric multidimensional scaling: the least stress, by majorisation."""

from dataclasses import dataclass
from typing import final

import numpy as np

from .classical_scaling import ClassicalScaling
from .distance_embedding import AbstractDistanceEmbedding, embedding_of, lengths, stress


@final
@dataclass(frozen=True, kw_only=True)
class StressScaling(AbstractDistanceEmbedding):
    """Points of least `Σ (d_ij - D_ij)²` (SMACOF), from those of classical scaling.

    `X ← B(X) X / m` with `B_ij = -D_ij / d_ij` and rows that add up to 0 never raises the stress.
    What it reaches is a minimum near the start. (de Leeuw 1977; Borg & Groenen 2005, ch. 8.)

    - `rounds`: at most; it ends where one lowers the stress by less than `tolerance` of itself.
    """

    rounds: int = 500
    tolerance: float = 1e-6

    def place(self, distances, count):
        points = ClassicalScaling().place(distances, count).coordinates
        before = stress(points, distances)
        for _ in range(self.rounds):
            apart = lengths(points)
            ratio = np.divide(distances, apart, out=np.zeros_like(apart), where=apart > 0)
            points = (ratio.sum(axis=1)[:, None] * points - ratio @ points) / len(points)
            after = stress(points, distances)
            if before - after <= self.tolerance * before:
                break
            before = after
        return embedding_of(points, distances)
