"""Figures of a run as PNG files. Needs the extra `viz`; figures are objects, no global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .figures import new_figure, save_figure, scale_bar

_WIDTH = 6.0  # inches


def plot_fsc(
    path: Path,
    curves: Mapping[str, Float[np.ndarray, " s"]],
    length: float,
    thresholds: Sequence[float] = (0.143,),
) -> None:
    """Curves by name over spatial frequency, with a scale in Å on top and the `thresholds`.

    - `curves`: one value per shell 0 to n//2; `length`: side of the box, Å.
    """
    figure, [[axes]] = new_figure(_WIDTH, 4.0)
    shells = max(len(curve) for curve in curves.values())
    for name, curve in curves.items():
        axes.plot(np.arange(len(curve)) / length, curve, label=name, lw=1.6)
    for threshold in thresholds:
        axes.axhline(threshold, color="0.5", lw=0.8, ls="--")
        axes.annotate(f"{threshold:g}", (0.002, threshold + 0.01), color="0.4", fontsize=8)
    axes.set(xlim=(0, (shells - 1) / length), ylim=(min(-0.05, _lowest(curves)), 1.05))
    axes.set(xlabel="spatial frequency (1/Å)", ylabel="Fourier shell correlation")
    top = axes.secondary_xaxis("top")
    ticks = np.linspace(0, (shells - 1) / length, 6)[1:]
    top.set_xticks(ticks, [f"{1 / tick:.3g}" for tick in ticks])
    top.set_xlabel("resolution (Å)")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    save_figure(figure, path)


def plot_slices(
    path: Path, volumes: Mapping[str, Float[np.ndarray, "n n n"]], pixel_size: float
) -> None:
    """Central slices of each named volume `[z, y, x]` across x, y and z, with a bar in Å.

    The grey scale is one per volume, from its 0.1th to its 99.9th percentile over the slices.
    """
    figure, axes = new_figure(_WIDTH, 2.25 * len(volumes), (len(volumes), 3))
    for row, (name, volume) in enumerate(volumes.items()):
        middle = volume.shape[0] // 2
        # What each picture shows as (rows, columns), with the axis it is cut across.
        cuts = {
            "x": (volume[:, :, middle], "z", "y"),
            "y": (volume[:, middle, :], "z", "x"),
            "z": (volume[middle], "y", "x"),
        }
        low, high = np.percentile([cut for cut, *_ in cuts.values()], (0.1, 99.9))
        for place, (axis, (cut, vertical, horizontal)) in zip(axes[row], cuts.items(), strict=True):
            place.imshow(cut, cmap="gray", vmin=low, vmax=high, origin="lower")
            place.set(xticks=[], yticks=[], xlabel=f"{horizontal} →", ylabel=f"{vertical} →")
            place.set_title(f"{name}, across {axis}", fontsize=9)
        scale_bar(axes[row][0], volume.shape[0], pixel_size)
    save_figure(figure, path)


def plot_angular_distribution(path: Path, rotation: Float[np.ndarray, "n 3 3"]) -> None:
    """Viewing directions `Rᵀ z` in the molecule's frame, as density over a uniform one.

    Axes are RELION's rot and tilt, tilt spaced by its cosine: equal areas have equal solid angle.
    """
    figure, [[axes]] = new_figure(_WIDTH, 3.4)
    direction = np.clip(rotation[:, 2], -1, 1)
    rot = np.rad2deg(np.arctan2(direction[:, 1], direction[:, 0]))
    # Cells that a uniform distribution fills with about 25 images each, within reason.
    rows = int(np.clip(np.sqrt(len(rotation) / 50), 6, 30))
    bins = [np.linspace(-180, 180, 2 * rows + 1), np.linspace(-1, 1, rows + 1)]
    counts = np.histogram2d(rot, direction[:, 2], bins=bins)[0]
    mesh = axes.pcolormesh(*bins, counts.T / max(counts.mean(), 1e-9), cmap="viridis", vmin=0)
    tilts = np.array([0, 30, 60, 90, 120, 150, 180])
    axes.set_yticks(np.cos(np.deg2rad(tilts)), [f"{tilt}" for tilt in tilts])
    axes.set_xticks(np.arange(-180, 181, 60))
    axes.set(xlabel="rot (°)", ylabel="tilt (°)", title=f"viewing directions of {len(rot)} images")
    figure.colorbar(mesh, ax=axes, label="over uniform")
    save_figure(figure, path)


def plot_defocus(
    path: Path, defocus_u: Float[np.ndarray, " n"], defocus_v: Float[np.ndarray, " n"]
) -> None:
    """Histograms of the mean defocus and of the astigmatism; arguments in Å, axes in µm and Å."""
    figure, [[left, right]] = new_figure(_WIDTH, 2.8, (1, 2))
    left.hist((defocus_u + defocus_v) / 2e4, bins=40)
    left.set(xlabel="underfocus (µm)", ylabel="images")
    right.hist(np.abs(defocus_u - defocus_v), bins=40)
    right.set(xlabel="astigmatism |U − V| (Å)")
    save_figure(figure, path)


def _lowest(curves: Mapping[str, Float[np.ndarray, " s"]]) -> float:
    return float(min(np.min(curve[1:]) for curve in curves.values())) - 0.03
