"""How good the maps of a method are for each image, where every image's true map is known.

The score of an image is the area under the FSC between the map that the method gives it and its
own true map: the mean over shells 1 to n/2 - 1. A perfect map has the area 1 at every box, so that
areas are already divided by their ceiling.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Int

from .fsc import crossing, fourier_shell_correlation

_ROUNDING = 1e-4  # of an area under an FSC

MapOf = Callable[[int], Float32[np.ndarray, "n n n"]]


def image_curves(
    found: tuple[MapOf, Int[np.ndarray, " m"]],
    true: tuple[MapOf, Int[np.ndarray, " m"]],
    masks: Mapping[str, Float32[np.ndarray, "n n n"]],
) -> dict[str, Float[np.ndarray, "m s"]]:
    """FSC of each of m images under each mask, by the mask's name.

    - `found`, `true`: a function from a number to a map, and the number of each image's map.

    Each pair of maps is compared once, however many images share it.
    """
    (found_map, found_number), (true_map, true_number) = found, true
    pairs, which = np.unique(
        np.stack([true_number, found_number], axis=1), axis=0, return_inverse=True
    )
    curves = {name: [] for name in masks}
    before, reference = -1, np.zeros(0)
    for state, number in pairs:
        if state != before:
            before, reference = state, true_map(int(state))
        volume = found_map(int(number))
        for name, mask in masks.items():
            curves[name].append(fourier_shell_correlation(volume * mask, reference * mask))
    return {name: np.stack(rows)[which.ravel()] for name, rows in curves.items()}


def areas(curves: Float[np.ndarray, "*m s"]) -> Float[np.ndarray, "*m"]:
    """The mean of each curve over shells 1 to n/2 - 1; 1 for perfect maps."""
    return curves[..., 1:-1].mean(axis=-1)


@final
@dataclass(frozen=True, kw_only=True)
class AreaSummary:
    """Areas of many images: median, quartiles, standard deviation, and their number; `resolution`
    in Å is that of the median curve at 0.5."""

    median: float
    quartiles: tuple[float, float]
    spread: float
    images: int
    resolution: float


def summarise(curves: Float[np.ndarray, "m s"], length: float) -> AreaSummary:
    """Summary of per-image curves in a box of side `length` Å."""
    values = areas(curves)
    low, middle, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    shell = crossing(np.median(curves, axis=0), 0.5)
    return AreaSummary(
        median=middle,
        quartiles=(low, high),
        spread=float(values.std()),
        images=len(values),
        resolution=length / shell if shell > 0 else float("inf"),
    )


def gap_closed(value: float, consensus: float, oracle: float) -> float:
    """`(value - consensus) / (oracle - consensus)`: 0 for the consensus map, 1 for back-projection
    with the true labels; above 1 for a method that beats it. NaN where they are equal but for
    rounding, as of a rigid molecule."""
    gap = oracle - consensus
    return (value - consensus) / gap if abs(gap) > _ROUNDING else float("nan")


def draw_images(
    state: Int[np.ndarray, " n"],
    candidates: Int[np.ndarray, " c"],
    count: int,
    seed: int,
) -> Int[np.ndarray, " m"]:
    """At most `count` of the candidate rows, drawn so that states have their share: sorted by
    state, one at random from each of `count` equal stretches."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(candidates)
    ordered = shuffled[np.argsort(state[shuffled], kind="stable")]
    if len(ordered) <= count:
        return np.sort(ordered)
    edges = np.linspace(0, len(ordered), count + 1)
    chosen = np.floor(rng.uniform(edges[:-1], edges[1:])).astype(np.int64)
    return np.sort(ordered[np.minimum(chosen, len(ordered) - 1)])
