"""A series of maps as a strip of pictures: each row one view, each column one map."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .figures import evenly_chosen, new_figure, save_figure, scale_bar

_MOST = 12  # columns; of longer series, evenly spaced maps


def plot_series(
    path: Path, maps: Sequence[Float[np.ndarray, "n n n"]], pixel_size: float, title: str
) -> None:
    """Central slices across z and across y of each map, and below the projection of its difference
    from the mean of all along z: red where there is more, blue where less.

    Grey and colour scales are one for the whole series: what differs between columns is the maps.
    """
    shown = evenly_chosen(len(maps), _MOST)
    stack = np.stack([maps[number] for number in shown])
    middle = stack.shape[1] // 2
    change = (stack - stack.mean(axis=0)).sum(axis=1)
    rows = {"across z": stack[:, middle], "across y": stack[:, :, middle], "change": change}
    figure, axes = new_figure(1.05 * len(shown) + 0.4, 3.7, (len(rows), len(shown)))
    for place, (name, pictures) in zip(axes, rows.items(), strict=True):
        low, high = np.percentile(pictures, (0.2, 99.8))
        style = {"cmap": "gray", "vmin": low, "vmax": high}
        if name == "change":
            reach = max(abs(low), abs(high), 1e-30)
            style = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
        for number, picture, column in zip(shown, pictures, place, strict=True):
            column.imshow(picture, origin="lower", **style)
            column.set(xticks=[], yticks=[])
            if name == "across z":
                column.set_title(str(number), fontsize=8)
        place[0].set_ylabel(name, fontsize=8)
    scale_bar(axes[0, 0], stack.shape[1], pixel_size)
    figure.suptitle(title, fontsize=9)
    save_figure(figure, path)
