"""Figures of scores: curves beside their baselines, latents against the truth, agreement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .figures import new_figure, save_figure, scale_bar

_COLOURS = ("C0", "C3", "C2", "C1", "C4", "C5")


def plot_image_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, Float[np.ndarray, "m s"]]],
    length: float,
    label: str = "FSC with the image's own true map",
) -> None:
    """Per-image FSC curves: the median and the band between quartiles of each named set.

    - `panels`: by mask, then by method, one curve per image; `length`: side of the box, Å;
      `label`: what the curves are.
    """
    figure, [axes] = new_figure(4.2 * len(panels), 3.6, (1, len(panels)))
    for place, (mask, sets) in zip(axes, panels.items(), strict=True):
        lowest = -0.05
        for colour, (name, curves) in zip(_COLOURS, sets.items(), strict=False):
            # Without shell 0: the mean of a map says nothing, and may have any sign.
            frequency = np.arange(1, curves.shape[1]) / length
            low, middle, high = np.quantile(curves[:, 1:], (0.25, 0.5, 0.75), axis=0)
            lowest = min(lowest, middle.min() - 0.05)
            place.plot(frequency, middle, color=colour, label=name, lw=1.6)
            place.fill_between(frequency, low, high, color=colour, alpha=0.18, lw=0)
        place.axhline(0.5, color="0.5", lw=0.8, ls="--")
        place.set(ylim=(lowest, 1.05), xlim=(0, frequency[-1]), title=mask)
        place.set(xlabel="spatial frequency (1/Å)")
        place.grid(alpha=0.25)
    axes[0].set_ylabel(label)
    axes[0].legend(fontsize=8)
    save_figure(figure, path)


@final
@dataclass(frozen=True, kw_only=True)
class CoordinateReadout:
    """One true coordinate per image, and what the latent says of it; `categorical`: both are names
    of classes."""

    name: str
    truth: Float[np.ndarray, " n"]
    readout: Float[np.ndarray, " n"]
    period: float | None = None
    categorical: bool = False


def plot_latents(
    path: Path,
    latents: Float[np.ndarray, "n d"],
    coordinates: Sequence[CoordinateReadout],
    most: int = 20000,
) -> None:
    """Above, the two leading principal components of the latents, coloured by each coordinate;
    below, its cross-validated read-out against the truth (dots of classes are scattered)."""
    columns = len(coordinates)
    figure, axes = new_figure(3.8 * columns, 6.8, (2, columns))
    shown = np.random.default_rng(0).permutation(len(latents))[:most]
    plane = _two_leading(latents)
    size = np.clip(4000 / max(len(shown), 1), 1, 12)
    for column, coordinate in enumerate(coordinates):
        colours = "viridis" if coordinate.period is None else "twilight"
        top, below = axes[0, column], axes[1, column]
        marks = {"s": size, "cmap": colours, "linewidths": 0, "rasterized": True}
        truth = coordinate.truth[shown]
        dots = top.scatter(plane[shown, 0], plane[shown, 1], c=truth, **marks)
        figure.colorbar(dots, ax=top, label=coordinate.name)
        top.set(xlabel="latent, component 1", ylabel="component 2")
        scatter = _jitter(len(shown)) if coordinate.categorical else np.zeros((2, 1))
        below.scatter(truth + scatter[0], coordinate.readout[shown] + scatter[1], c=truth, **marks)
        ends = [coordinate.truth.min(), coordinate.truth.max()]
        below.plot(ends, ends, color="0.4", lw=0.8, ls="--")
        below.set(xlabel=f"true {coordinate.name}", ylabel="read out of the latent")
    save_figure(figure, path)


def plot_states(
    path: Path,
    states: Int[np.ndarray, " t"],
    scores: Mapping[str, Float[np.ndarray, " t"]],
    mask: str,
) -> None:
    """FSC area of every true state's mean map under `mask`, by name."""
    figure, [[axes]] = new_figure(6.0, 3.2)
    for colour, (name, values) in zip(_COLOURS, scores.items(), strict=False):
        axes.plot(states, values, ".-", color=colour, label=name, lw=1.0, ms=4)
    axes.set(xlabel="true state", ylabel=f"FSC area, {mask}")
    axes.grid(alpha=0.25)
    figure.legend(fontsize=8, loc="outside upper center", ncols=len(scores))
    save_figure(figure, path)


def plot_populations(
    path: Path, populations: Mapping[str, Float[np.ndarray, " s"]], label: str
) -> None:
    """The share of images in every state, by name; `label` says what the states are along."""
    figure, [[axes]] = new_figure(6.0, 3.2)
    for colour, (name, share) in zip(_COLOURS, populations.items(), strict=False):
        axes.step(np.arange(len(share)), share, where="mid", color=colour, label=name, lw=1.3)
    axes.set(xlabel=label, ylabel="share of images", ylim=(0, None))
    figure.legend(fontsize=8, loc="outside upper center", ncols=len(populations))
    save_figure(figure, path)


def plot_matrices(
    path: Path, matrices: Mapping[str, Float[np.ndarray, "a b"]], labels: tuple[str, str]
) -> None:
    """Agreement matrices of two runs by name; `labels` of their rows and columns."""
    figure, [axes] = new_figure(4.4 * len(matrices), 3.8, (1, len(matrices)))
    for place, (name, matrix) in zip(axes, matrices.items(), strict=True):
        mesh = place.imshow(
            matrix, cmap="magma", origin="lower", interpolation="nearest", aspect="auto"
        )
        figure.colorbar(mesh, ax=place)
        place.set(title=name, ylabel=labels[0], xlabel=labels[1])
        for axis in (place.xaxis, place.yaxis):
            axis.get_major_locator().set_params(integer=True)
    save_figure(figure, path)


def plot_montage(
    path: Path,
    images: Float[np.ndarray, "m y x"],
    states: Float[np.ndarray, "k y x"],
    pixel_size: float,
) -> None:
    """Images above, projections of states below, each row with one grey scale of its own."""
    columns = max(len(images), len(states))
    figure, axes = new_figure(1.35 * columns, 2.9, (2, columns))
    for row, pictures in zip(axes, (images, states), strict=True):
        low, high = np.quantile(pictures, (0.003, 0.997))
        for place in row:
            place.set_axis_off()
        for place, picture in zip(row, pictures, strict=False):
            place.imshow(picture, cmap="gray", vmin=low, vmax=high, origin="lower")
    scale_bar(axes[1, 0], states.shape[-1], pixel_size)
    save_figure(figure, path)


def _jitter(count: int) -> Float[np.ndarray, "2 n"]:
    return np.random.default_rng(1).uniform(-0.3, 0.3, (2, count))


def _two_leading(latents: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    centred = latents - latents.mean(axis=0)
    *_, axes = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ axes[:2].T
    return np.pad(plane, [(0, 0), (0, 2 - plane.shape[1])])
