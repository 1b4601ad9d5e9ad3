"""Optimal transport between distributions on few points, by linear programming."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float


def transport_plan(
    first: Float[np.ndarray, " a"], second: Float[np.ndarray, " b"], cost: Float[np.ndarray, "a b"]
) -> Float[np.ndarray, "a b"]:
    """The plan `P` of least `Σ P cost` among those with row sums `first` and column sums `second`.

    Raises `ValueError` where these are not shares (none negative, of sum 1).

    Kantorovich 1942; solved by HiGHS.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    first, second = _shares(first, "first"), _shares(second, "second")
    rows, columns = np.flatnonzero(first), np.flatnonzero(second)
    sums = sparse.vstack(
        [
            sparse.kron(sparse.eye_array(len(rows)), np.ones((1, len(columns)))),
            # One sum follows from the others; rounding must not make it contradict them.
            sparse.kron(np.ones((1, len(rows))), sparse.eye_array(len(columns))).tocsr()[:-1],
        ]
    )
    totals = np.concatenate([first[rows], second[columns][:-1]])
    kept = np.ix_(rows, columns)
    solved = linprog(cost[kept].ravel(), A_eq=sums.tocsr(), b_eq=totals, method="highs-ds")
    if solved.status != 0:
        raise ValueError(f"The transport problem was not solved: {solved.message}")
    plan = np.zeros(cost.shape)
    plan[kept] = solved.x.reshape(len(rows), len(columns))
    return plan


def earth_movers_distance(
    first: Float[np.ndarray, " s"],
    second: Float[np.ndarray, " s"],
    distances: Float[np.ndarray, "s s"],
) -> float:
    """Least mean distance over which `first` is carried to become `second`.

    - `distances`: between states, a metric (`States.distances`); the result is in its units.

    Raises `ValueError` where the distributions are not shares.
    """
    surplus = _shares(first, "first") - _shares(second, "second")
    # In a metric, what both have may stay where it is: detours are no shorter.
    moved = float(np.maximum(surplus, 0).sum())
    if moved < 1e-12:
        return 0.0
    source, sink = np.maximum(surplus, 0), np.maximum(-surplus, 0)
    plan = transport_plan(source / source.sum(), sink / sink.sum(), distances)
    return moved * float(np.sum(plan * distances))


@final
@dataclass(frozen=True, kw_only=True)
class PopulationDistance:
    """Earth mover's distance of recovered populations to the true ones, and what to hold it
    against: the distance of `uniform` populations, and of the `best` and `worst` single state."""

    distance: float
    uniform: float
    best: float
    worst: float


def population_distance(
    recovered: Float[np.ndarray, " s"],
    true: Float[np.ndarray, " s"],
    distances: Float[np.ndarray, "s s"],
) -> PopulationDistance:
    """`earth_movers_distance` from `recovered` to `true` populations, with its references."""
    single = distances @ true
    uniform = np.full(len(true), 1 / len(true))
    return PopulationDistance(
        distance=earth_movers_distance(recovered, true, distances),
        uniform=earth_movers_distance(uniform, true, distances),
        best=float(single.min()),
        worst=float(single.max()),
    )


def _shares(values: Float[np.ndarray, " s"], name: str) -> Float[np.ndarray, " s"]:
    values = np.asarray(values, np.float64)
    total = float(values.sum())
    if not np.all(values >= 0) or not np.isclose(total, 1.0, rtol=0, atol=1e-6):
        raise ValueError(
            f"`{name}` must be shares of sum 1, none negative. Got a sum of {total:g}."
        )
    return values / total
