"""Maps at the same latents by two ways, held beside each other by Fourier shell correlation.

Maps of the same images share their noise, and their mean alone makes them agree. So two curves are
told of each pair: of the maps, and of what each differs by from the mean of its own way, which is
the motion. Neither is evidence that a map is right: only halves of the images that were kept apart
are, and of these only where what was fitted to all images (poses, latents) did not choose them.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Real

from .fsc import fourier_shell_correlation

# The maps of a series in order; called again, from the start: no more than one need be in memory.
MapsAgain = Callable[[], Iterable[Float[np.ndarray, "n n n"]]]


@final
@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """M pairs of maps, under a mask.

    - `maps`: FSC of the two maps; `deviations`: of their deviations, 0 where there is but one pair.
    - `correlation`: of the deviations, all shells together: `Σ a b / sqrt(Σ a² Σ b²)` over voxels.
    """

    maps: Float[np.ndarray, "m s"]
    deviations: Float[np.ndarray, "m s"]
    correlation: Float[np.ndarray, " m"]


def side_by_side(
    first: MapsAgain,
    second: MapsAgain,
    mask: Float[np.ndarray, "n n n"],
    weight: Real[np.ndarray, " m"],
) -> SideBySide:
    """Compare each map of `first` with that of the same place in `second`.

    - `weight`: of each pair in the means that deviations are from (images that it stands for).

    Two whole maps agree to where their FSC is 0.5, as a map does with a model or a reference: 0.143
    is for two halves, each of half of the images. Raises `ValueError` where one has more maps.
    """
    means = [_mean(maps(), weight) for maps in (first, second)]
    found = [_compared(pair, means, mask) for pair in zip(first(), second(), strict=True)]
    maps, deviations, correlation = zip(*found, strict=True)
    return SideBySide(
        maps=np.stack(maps), deviations=np.stack(deviations), correlation=np.array(correlation)
    )


def _mean(maps, weight) -> Float[np.ndarray, "n n n"]:
    shares = weight / weight.sum()
    parts = (float(share) * one for share, one in zip(shares, maps, strict=True))
    return functools.reduce(np.add, parts)


def _compared(pair, means, mask):
    whole = [one * mask for one in pair]
    change = [(one - mean) * mask for one, mean in zip(pair, means, strict=True)]
    power = np.sqrt(float(np.prod([np.sum(np.square(part)) for part in change])))
    correlation = float(np.sum(change[0] * change[1])) / power if power > 0 else 0.0
    return fourier_shell_correlation(*whole), fourier_shell_correlation(*change), correlation
