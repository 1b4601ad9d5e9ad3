"""The weight of an image by its squared distance from the target, and bandwidths to try."""

import abc
from typing import final

import numpy as np
from jaxtyping import Float, Int

COUNT = 18  # bandwidths: always as many, so that programs compile once
_NEAREST = 50  # images per half-set that the smallest bandwidth reaches
_LARGEST = 4.0  # times the squared distance of nearly all images: the last but one bandwidth
_ALL = 1e3  # times that one: all images weigh alike


class AbstractProfile(abc.ABC):
    """A function of `d²/h`, decreasing."""

    @abc.abstractmethod
    def weights(self, squared: Float[np.ndarray, " n"], h: float) -> Float[np.ndarray, " n"]:
        """The weight of each image at the bandwidth `h`, which is of the unit of `d²`."""


@final
class Epanechnikov(AbstractProfile):
    """`¾ (1 - d²/h)₊`; zero beyond `h`. Epanechnikov 1969, Theory Probab. Appl. 14."""

    def weights(self, squared, h):
        return 0.75 * np.maximum(1 - squared / h, 0)


@final
class GaussianProfile(AbstractProfile):
    """`exp(-d²/2h)`; with `PairCovariance` and `h = 1` the odds that two images share a state."""

    def weights(self, squared, h):
        return np.exp(-0.5 * squared / h)


def bandwidths(
    squared: Float[np.ndarray, " n"], half: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " h"]:
    """`COUNT` of them, increasing: a geometric grid from one that reaches the nearest 50 images of
    each half-set (1 or 2; a quarter of them, if that is less) to one that reaches all, and last one
    so large that all images weigh alike: that of the consensus."""
    parts = [np.sort(squared[half == number]) for number in (1, 2)]
    reach = [part[min(_NEAREST, len(part) // 4 + 1) - 1] for part in parts]
    high = _LARGEST * max(float(np.quantile(squared, 0.99)), 1e-12)
    low = min(max(float(max(reach)), 1e-4 * high), high)
    return np.append(np.geomspace(low, high, COUNT - 1), _ALL * high)
