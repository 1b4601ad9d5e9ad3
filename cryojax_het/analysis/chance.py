"""A score beside what chance would give, and the rows that a score is taken over."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int


@final
@dataclass(frozen=True)
class Score:
    """`value`, and `chance`: what it is expected to be where there is no relation at all.

    Either may be the larger: some scores are better the smaller they are.
    """

    value: float
    chance: float

    def share(self, ceiling: float = 1.0) -> float:
        """`(value - chance) / (ceiling - chance)`: 0 by chance, 1 at the best that can be had.

        - `ceiling`: the value of a perfect latent, or of the best that the data allow.

        NaN where the ceiling is no better than chance: there is nothing to find.
        """
        room = ceiling - self.chance
        return (self.value - self.chance) / room if room else float("nan")


def as_points(points: Float[np.ndarray, "n d"], name: str) -> Float[np.ndarray, "n d"]:
    """`points` in float64.

    Raises `ValueError` where there are fewer than three rows, or values that are not finite.
    """
    if len(points) < 3:
        raise ValueError(f"`{name}` must have at least 3 rows. Got {len(points)}.")
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if bad.size:
        raise ValueError(
            f"`{name}` must be finite. {bad.size} of {len(points)} rows are not, the first is row "
            f"{bad[0]}: leave out the images that have no estimate."
        )
    return np.asarray(points, np.float64)


def check_paired(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> None:
    """Raises `ValueError` where the two arrays do not have one row for each of the same images."""
    if len(first) != len(second):
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must have one row for each of the same images. "
            f"Got {len(first)} and {len(second)}."
        )


def some_rows(count: int, limit: int, seed: int) -> Int[np.ndarray, " r"]:
    """All rows where there are at most `limit`; otherwise `limit` of them, drawn by `seed`."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
