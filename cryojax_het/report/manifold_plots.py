"""Figures of a manifold of maps: distances, points, and the free energy over them."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..analysis.distance_embedding import lengths
from ..analysis.map_landscape import MapLandscape
from .figures import new_figure, save_figure

_CEILING = 8.0  # k_B T
_NUMBERED = 60  # points that have room for their numbers


def plot_distances(path: Path, distances: Float[np.ndarray, "m m"], unit: str) -> None:
    """All pairs, in the order of the maps."""
    figure, [[axes]] = new_figure(4.6, 3.8)
    drawn = axes.imshow(distances, cmap="viridis", origin="lower")
    axes.set(xlabel="map", ylabel="map")
    figure.colorbar(drawn, ax=axes, label=unit)
    save_figure(figure, path)


def plot_manifold(
    path: Path,
    found: tuple[Float[np.ndarray, "m d"], Float[np.ndarray, " m"], Float[np.ndarray, "m m"]],
    colour: tuple[np.ndarray, str],
    stress: float,
) -> None:
    """Points over the first two coordinates (or of one, against the number of the map), the
    eigenvalues of classical scaling, and the distances of points over those of maps.

    - `found`: coordinates, eigenvalues, distances. `colour`: a value per map, and its name.
    """
    points, eigenvalues, distances = found
    figure, [[left, middle, right]] = new_figure(11.0, 3.5, (1, 3))
    x = points[:, 0] if points.shape[1] > 1 else np.arange(len(points))
    y = points[:, 1] if points.shape[1] > 1 else points[:, 0]
    drawn = left.scatter(x, y, c=colour[0], cmap="viridis", s=28, zorder=2)
    if len(points) <= _NUMBERED:
        for number, place in enumerate(zip(x, y, strict=True)):
            text = {"textcoords": "offset points", "xytext": (3, 3), "fontsize": 6}
            left.annotate(str(number), place, **text)
    left.set(xlabel="coordinate 1" if points.shape[1] > 1 else "map")
    left.set(ylabel="coordinate 2" if points.shape[1] > 1 else "coordinate 1")
    left.margins(0.08)
    figure.colorbar(drawn, ax=left, label=colour[1])
    some = eigenvalues[:10]
    middle.bar(np.arange(1, len(some) + 1), some / max(eigenvalues[0], 1e-300), color="C0")
    middle.axhline(eigenvalues[-1] / max(eigenvalues[0], 1e-300), color="C3", lw=0.8, ls="--")
    middle.set(xlabel="coordinate", ylabel="eigenvalue / first", title="dashed: the least of all")
    middle.title.set_fontsize(8)
    upper = np.triu_indices(len(points), 1)
    dots = {"s": 5, "linewidths": 0, "alpha": 0.6, "rasterized": True}
    right.scatter(distances[upper], lengths(points)[upper], **dots)
    right.set(xlabel="distance of maps", ylabel="distance of points", title=f"stress {stress:.3f}")
    right.title.set_fontsize(8)
    for axes in (left, middle, right):
        axes.grid(alpha=0.25)
    save_figure(figure, path)


def plot_landscape(
    path: Path,
    energy: MapLandscape,
    route: Float[np.ndarray, "k d"],
    group: Int[np.ndarray, " m"],
) -> None:
    """Free energy over the first two coordinates with maps (as large as their images are many) and
    the path; and along the path."""
    figure, [[left, right]] = new_figure(9.0, 3.8, (1, 2))
    points = energy.points
    margin = 2 * energy.width
    axes = [np.linspace(c.min() - margin, c.max() + margin, 80) for c in points.T[:2]]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    rest = np.tile(points.mean(axis=0)[2:], (len(mesh), 1))
    values = energy.energy(np.concatenate([mesh, rest], axis=1)).reshape(80, 80).T
    along = energy.energy(route)
    levels = np.linspace(0, _CEILING, 17)
    shown = np.minimum(values - values.min(), _CEILING)
    drawn = left.contourf(*axes, shown, levels, cmap="Greys_r")
    size = 60 * energy.counts / energy.counts.max()
    left.scatter(*points.T[:2], c=group, s=size, cmap="turbo", linewidths=0, zorder=2)
    left.plot(*route.T[:2], color="C3", lw=1.4, zorder=3)
    left.set(xlabel="coordinate 1", ylabel="coordinate 2")
    figure.colorbar(drawn, ax=left, label="free energy (k$_B$T)")
    right.plot(np.linspace(0, 1, len(route)), along - along.min(), color="C3", lw=1.6)
    right.set(xlabel="along the path", ylabel="free energy (k$_B$T)")
    right.grid(alpha=0.25)
    save_figure(figure, path)
