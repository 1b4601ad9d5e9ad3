"""Maps by two ways as strips of pictures, one under the other, and the curves of each pair."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .figures import evenly_chosen, new_figure, save_figure, scale_bar

_MOST = 12  # columns; of more maps, evenly spaced ones


def plot_maps(
    path: Path, ways: Mapping[str, Sequence[Float[np.ndarray, "n n n"]]], pixel_size: float
) -> None:
    """For each way, central slices across z of each map, and below the projections along z of its
    differences from the mean of those shown: red where there is more, blue where less.

    - `ways`: maps at the same places, by the name of the way. Greys are scaled way by way, colours
      alike for all: how far a way moves can be told from another.
    """
    count = len(next(iter(ways.values())))
    shown = evenly_chosen(count, _MOST)
    stacks = {name: np.stack([maps[k] for k in shown]) for name, maps in ways.items()}
    changes = {name: (stack - stack.mean(axis=0)).sum(axis=1) for name, stack in stacks.items()}
    reach = max(np.percentile(np.abs(change), 99.8) for change in changes.values()) or 1.0
    figure, axes = new_figure(1.05 * len(shown) + 0.4, 2.4 * len(ways), (2 * len(ways), len(shown)))
    for place, (name, stack) in enumerate(stacks.items()):
        slices = stack[:, stack.shape[1] // 2]
        low, high = np.percentile(slices, (0.2, 99.8))
        grey = {"cmap": "gray", "vmin": low, "vmax": high}
        _strip(axes[2 * place], slices, grey, f"{name}\nacross z")
        colours = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
        _strip(axes[2 * place + 1], changes[name], colours, f"{name}\nchange")
        scale_bar(axes[2 * place, 0], stack.shape[1], pixel_size)
    for number, column in zip(shown, axes[0], strict=True):
        column.set_title(str(number), fontsize=8)
    save_figure(figure, path)


def plot_curves(
    path: Path, panels: Mapping[str, tuple[Float[np.ndarray, "m s"], float]], length: float
) -> None:
    """A panel for each set of curves, by name, with the level that they are read at: one thin line
    per map, their median thick.

    - curves have one value per shell 0 to n//2; `length`: side of the box, Å.
    """
    figure, axes = new_figure(3.4 * len(panels), 3.3, (1, len(panels)))
    for place, (name, (curves, level)) in zip(axes[0], panels.items(), strict=True):
        x = np.arange(curves.shape[1]) / length
        place.plot(x[1:], curves[:, 1:].T, color="C0", lw=0.7, alpha=0.5)
        place.plot(x[1:], np.median(curves, axis=0)[1:], color="C3", lw=1.8)
        place.axhline(level, color="0.5", lw=0.8, ls="--")
        place.annotate(
            f"{level:g}", (x[-1], level), color="0.4", fontsize=8, ha="right", va="bottom"
        )
        place.set(xlim=(0, x[-1]), ylim=(min(-0.05, curves[:, 1:].min() - 0.03), 1.05))
        place.set(xlabel="spatial frequency (1/Å)")
        place.set_title(name, fontsize=9)
        place.grid(alpha=0.25)
        top = place.secondary_xaxis("top")
        ticks = np.linspace(0, x[-1], 5)[1:]
        top.set_xticks(ticks, [f"{1 / tick:.3g} Å" for tick in ticks], fontsize=7)
    axes[0, 0].set_ylabel("Fourier shell correlation")
    save_figure(figure, path)


def _strip(row, pictures, style, name: str) -> None:
    for picture, place in zip(pictures, row, strict=True):
        place.imshow(picture, origin="lower", **style)
        place.set(xticks=[], yticks=[])
    row[0].set_ylabel(name, fontsize=8)
