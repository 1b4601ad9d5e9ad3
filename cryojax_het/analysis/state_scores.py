"""How well a method recovers each true state: the mean of the maps that it gives the state's
images, against the state's own map.

Means over images forgive what an image alone cannot tell of its state; a bias that all images of
a state share, as of a method that pulls every map towards the consensus, remains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Int

from .fsc import fourier_shell_correlation, resolution
from .map_scores import MapOf

_BLOCK = 2.5e8  # bytes of mean maps that are held at a time


@final
@dataclass(frozen=True, kw_only=True)
class StateCurves:
    """FSC by mask of the T `states` that have images, of which there are `images` each."""

    states: Int[np.ndarray, " t"]
    images: Int[np.ndarray, " t"]
    curves: Mapping[str, Float[np.ndarray, "t k"]]

    def resolutions(self, mask: str, length: float) -> Float[np.ndarray, " t"]:
        """Resolution of each state at 0.5, in Å, under one mask, in a box of side `length` Å."""
        return np.array([resolution(curve, 0.5, length) for curve in self.curves[mask]])


def state_curves(
    found: tuple[MapOf, Int[np.ndarray, " m"]],
    true: tuple[MapOf, Int[np.ndarray, " m"]],
    masks: Mapping[str, Float32[np.ndarray, "n n n"]],
) -> StateCurves:
    """FSC of each true state's mean map, over those of m images that have the state.

    - `found`, `true`: a function from a number to a map, and the number of each image's map; true
      numbers are states.

    States are taken in blocks of 250 MB; a map is read once per block that has images of it.
    Raises `ValueError` where there are no images, or a number is negative.
    """
    (found_map, found_number), (true_map, true_number) = found, true
    if not len(found_number) or min(found_number.min(), true_number.min()) < 0:
        raise ValueError(
            f"There must be images, each with a map. Got {len(found_number)}, of which "
            f"{np.sum(found_number < 0)} without: leave those out."
        )
    states, images = np.unique(true_number, return_counts=True)
    each = max(1, int(_BLOCK / (4 * next(iter(masks.values())).size)))
    blocks = [states[first : first + each] for first in range(0, len(states), each)]
    curves = {name: [] for name in masks}
    for block in blocks:
        means = _means(found_map, found_number, true_number, block)
        for state, mean in zip(block, means, strict=True):
            reference = true_map(int(state))
            for name, mask in masks.items():
                curves[name].append(fourier_shell_correlation(mean * mask, reference * mask))
    stacked = {name: np.stack(rows) for name, rows in curves.items()}
    return StateCurves(states=states, images=images, curves=stacked)


def _means(
    found_map: MapOf,
    found_number: Int[np.ndarray, " m"],
    true_number: Int[np.ndarray, " m"],
    states: Int[np.ndarray, " t"],
) -> Float32[np.ndarray, "t n n n"]:
    """The mean over the images of each of `states` of the maps that they have."""
    mine = np.isin(true_number, states)
    numbers, column = np.unique(found_number[mine], return_inverse=True)
    shares = np.zeros((len(states), len(numbers)))
    np.add.at(shares, (np.searchsorted(states, true_number[mine]), column.ravel()), 1)
    shares /= shares.sum(axis=1, keepdims=True)
    means = np.zeros(0, np.float32)
    for number, share in zip(numbers, shares.T, strict=True):
        volume = found_map(int(number))
        means = means if means.size else np.zeros((len(states), *volume.shape), np.float32)
        for state in np.flatnonzero(share):
            means[state] += np.float32(share[state]) * volume
    return means
