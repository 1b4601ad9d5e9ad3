"""Local resolution of a series of maps as a strip of pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .figures import evenly_chosen, new_figure, save_figure, scale_bar

_MOST = 12  # columns; of more maps, evenly spaced ones

Maps = Sequence[Float[np.ndarray, "n n n"]]


def plot_local_resolution(path: Path, maps: Maps, resolutions: Maps, pixel_size: float) -> None:
    """Central slices across z of each map, and below of its resolution (Å) where the map is not
    zero, blue where it is fine; colours are alike for all."""
    shown = evenly_chosen(len(maps), _MOST)
    middle = len(maps[0]) // 2
    slices, told = (np.stack([many[k][middle] for k in shown]) for many in (maps, resolutions))
    seen = np.ma.masked_where(slices == 0, told)
    low, high = np.percentile(seen.compressed() if seen.count() else told, (2, 98))
    figure, axes = new_figure(1.05 * len(shown) + 1.2, 2.6, (2, len(shown)))
    grey = dict(zip(("vmin", "vmax"), np.percentile(slices, (0.2, 99.8)), strict=True))
    for number, volume, part, column in zip(shown, slices, seen, axes.T, strict=True):
        column[0].imshow(volume, cmap="gray", origin="lower", **grey)
        column[1].imshow(part, cmap="turbo", vmin=low, vmax=high, origin="lower")
        column[0].set_title(str(number), fontsize=8)
        for place in column:
            place.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("across z", fontsize=8)
    axes[1, 0].set_ylabel("resolution", fontsize=8)
    scale_bar(axes[0, 0], slices.shape[1], pixel_size)
    figure.colorbar(axes[1, 0].images[0], ax=axes, label="local resolution (Å)")
    save_figure(figure, path)
