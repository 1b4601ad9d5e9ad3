"""What all figures share: objects without global state, written whole as PNG."""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from ..particles.files import replacing

_DPI = 130


def new_figure(width: float, height: float, grid: tuple[int, int] = (1, 1)):
    """A figure of `width` by `height` inches, and its axes as an array of `grid` (rows, columns).

    Raises `ImportError` where matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Figures need matplotlib: pip install 'cryojax_het[viz]'.") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(*grid, squeeze=False)


def evenly_chosen(count: int, most: int) -> Int[np.ndarray, " m"]:
    """Numbers of at most `most` of `count` things, evenly spaced, first and last among them."""
    return np.unique(np.rint(np.linspace(0, count - 1, min(count, most))).astype(int))


def save_figure(figure, path: Path) -> None:
    """Write a PNG, whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)


def scale_bar(axes, size: int, pixel_size: float) -> None:
    """A bar of a round length near a fifth of the box."""
    target = size * pixel_size / 4
    step = 10.0 ** np.floor(np.log10(target))
    length = float(max(m for m in (1, 2, 5) if m * step <= target) * step)
    start, height = 0.06 * size, 0.07 * size
    axes.plot([start, start + length / pixel_size], [height] * 2, color="white", lw=2.5)
    axes.text(start, height + 0.03 * size, f"{length:g} Å", color="white", fontsize=8)
