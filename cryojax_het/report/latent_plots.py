"""Figures of latents: what components weigh, where images are, free energies, outlier scores."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from ..analysis.density import Density, kernel_density, latent_grid_of
from ..analysis.outliers import ImageScores
from .figures import new_figure, save_figure

_CEILING = 8.0  # k_B T: free energies above it are of places where hardly an image is


def plot_spectrum(
    path: Path, eigenvalues: Float[np.ndarray, " k"], told: Float[np.ndarray, " k"]
) -> None:
    """Variance of each component over the power of the mean, and the share `told` of each
    coordinate's variance that the images tell (the rest is the prior's)."""
    figure, [[left, right]] = new_figure(7.0, 2.8, (1, 2))
    number = np.arange(1, len(eigenvalues) + 1)
    left.semilogy(number, eigenvalues, "o-", lw=1.2, ms=4)
    left.set(xlabel="component", ylabel="variance / power of the mean")
    right.bar(number, told, color="C0", alpha=0.7)
    right.set(xlabel="component", ylabel="variance told by images", ylim=(0, 1))
    for axes in (left, right):
        axes.set_xticks(number if len(number) <= 12 else number[::2])
        axes.grid(alpha=0.25)
    save_figure(figure, path)


def plot_latent_planes(
    path: Path,
    latent: Float[np.ndarray, "n d"],
    label: Int[np.ndarray, " n"],
    centres: Float[np.ndarray, "k d"],
    route: Float[np.ndarray, "m d"],
    names: Sequence[str],
) -> None:
    """Images by cluster with the numbers of the clusters, and the density of the estimates with
    the path; over the first two coordinates, and over the next two where there are. `names` of
    all."""
    planes = [(a, a + 1) for a in (0, 2) if a + 1 < latent.shape[1]] or [(0, 0)]
    figure, axes = new_figure(7.6, 3.5 * len(planes), (len(planes), 2))
    size = np.clip(6000 / max(len(latent), 1), 1, 12)
    for (x, y), (left, right) in zip(planes, axes, strict=True):
        # One coordinate alone is drawn against chance heights, so that dots do not cover others.
        column = lambda points, y=y, x=x: _heights(points) if y == x else points[:, y]
        dots = {"c": label, "cmap": "tab20", "s": size, "linewidths": 0, "rasterized": True}
        left.scatter(latent[:, x], column(latent), **dots)
        for number, (u, v) in enumerate(zip(centres[:, x], column(centres), strict=True)):
            left.text(u, v, str(number), ha="center", va="center", fontsize=7, bbox=_BOX)
        if y == x:
            right.hist(latent[:, x], 60, color="C0", alpha=0.7)
        else:
            _plane(right, latent[:, [x, y]], route[:, [x, y]])
        for place in (left, right):
            place.set(xlabel=names[x], ylabel="" if y == x else names[y])
        left.set_title("clusters, at their images nearest to the centre", fontsize=9)
        right.set_title("density of the estimates, and the path", fontsize=9)
    save_figure(figure, path)


_BOX = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "0.3", "lw": 0.6, "alpha": 0.85}


def _heights(points):
    return np.random.default_rng(0).uniform(-1, 1, len(points))


def _plane(axes, points, route) -> None:
    some = points[:: max(len(points) // 4000, 1)]
    grid = latent_grid_of(points, 60)
    mesh = kernel_density(some, grid).value.T
    axes.pcolormesh(*grid.axes, mesh, cmap="Blues", shading="nearest", rasterized=True)
    axes.plot(*route.T, ".-", color="C3", lw=1.2, ms=5)


def plot_landscapes(path: Path, lines: Sequence[tuple[str, Density, Density]]) -> None:
    """Free energy along each coordinate, `(name, molecules, estimates)`: that of the molecules
    with its 90 % band, beside that of counted point estimates."""
    columns = min(len(lines), 2)
    rows = -(-len(lines) // columns)
    figure, axes = new_figure(3.8 * columns, 2.9 * rows, (rows, columns))
    for place in axes.ravel()[len(lines) :]:
        place.set_axis_off()
    for place, (name, molecules, estimates) in zip(axes.ravel(), lines, strict=False):
        z = molecules.grid.axes[0]
        if molecules.low is not None:
            low, high = (np.minimum(side, 2 * _CEILING) for side in molecules.band())
            place.fill_between(z, low, high, color="C0", alpha=0.25, lw=0)
        place.plot(z, molecules.free_energy(), color="C0", lw=1.8, label="molecules")
        place.step(z, estimates.free_energy(), where="mid", color="0.5", lw=1, label="estimates")
        place.set(xlabel=name, ylabel="free energy (k$_B$T)", ylim=(-0.3, _CEILING))
        place.grid(alpha=0.25)
    axes[0, 0].legend(fontsize=8)
    save_figure(figure, path)


def plot_plane_landscape(
    path: Path,
    molecules: Density,
    estimates: Density,
    route: Float[np.ndarray, "m 2"],
    names: Sequence[str],
) -> None:
    """Free energy over two coordinates of these names: of the molecules, and of smoothed point
    estimates; the path over both."""
    figure, [axes] = new_figure(7.8, 3.4, (1, 2))
    levels = np.arange(0, _CEILING + 0.5, 0.5)
    for place, (name, density) in zip(
        axes, {"molecules": molecules, "estimates": estimates}.items(), strict=True
    ):
        energy = np.minimum(density.free_energy(), _CEILING)
        drawn = place.contourf(*density.grid.axes, energy.T, levels, cmap="viridis_r")
        place.plot(route[:, 0], route[:, 1], ".-", color="C3", lw=1.2, ms=5)
        place.set(xlabel=names[0], ylabel=names[1], title=name)
    figure.colorbar(drawn, ax=list(axes), label="free energy (k$_B$T)")
    save_figure(figure, path)


def plot_outliers(
    path: Path,
    scores: ImageScores,
    flagged: Bool[np.ndarray, " n"],
    rows: Int[np.ndarray, " r"],
    threshold: float,
) -> None:
    """What junk is told by, what rarity is, and the junk score; `rows` are drawn as dots."""
    figure, [[left, middle, right]] = new_figure(11.0, 3.3, (1, 3))
    junk = scores.junk()  # NaN where an image was left out
    for colour, name, inside in (("C0", "kept", ~flagged), ("C3", "flagged", flagged)):
        some = rows[inside[rows]]
        dots = {"s": 4, "color": colour, "alpha": 0.5, "linewidths": 0, "rasterized": True}
        left.scatter(scores.contrast_deviation[some], scores.residual_excess[some], **dots)
        middle.scatter(scores.mahalanobis[some], scores.particle_ratio[some], **dots)
        right.hist(
            np.minimum(junk[inside & ~np.isnan(junk)], 20),
            np.linspace(0, 20, 61),
            color=colour,
            alpha=0.6,
            label=f"{name}: {inside.sum()}",
        )
    # Where the score is the threshold: the residual counts up to the missing contrast.
    angle = np.linspace(0.75 * np.pi, np.pi, 50)
    arc = threshold * np.stack([np.cos(angle), np.sin(angle)])
    top = [[arc[0, 0]], [np.nanmax(scores.residual_excess)]]
    bottom = [[-threshold], [np.nanmin(scores.residual_excess)]]
    left.plot(*np.concatenate([top, arc, bottom], axis=1), color="0.3", lw=0.8)
    left.set(xlabel="contrast, deviations from the median", ylabel="excess of the residual")
    middle.set(xlabel="latent, Mahalanobis distance (rarity)", yscale="symlog")
    middle.set(ylabel="ln p(y | model) − ln p(y | nothing)")
    right.axvline(threshold, color="0.3", lw=0.8)
    right.set(xlabel="junk score", ylabel="images", yscale="log")
    right.legend(fontsize=8)
    save_figure(figure, path)


def plot_latent_density(
    path: Path,
    before: Float[np.ndarray, "n d"],
    after: Float[np.ndarray, "n d"],
    draws: Float[np.ndarray, "m d"],
) -> None:
    """Estimates of images under the standard normal prior and under a learned one, and draws of
    that, over the first two coordinates, or over the only one."""
    sets = {"normal prior": before, "learned prior": after, "draws of it": draws}
    figure, [row] = new_figure(9.0, 3.2, (1, 3))
    edges = np.percentile(np.concatenate([before, draws]), [0.2, 99.8], axis=0)
    for axes, (name, points) in zip(row, sets.items(), strict=True):
        if before.shape[1] == 1:
            axes.hist(points[:, 0], 60, range=tuple(edges[:, 0]), color="C0", alpha=0.7)
        else:
            dots = {"s": np.clip(6000 / len(points), 1, 12), "linewidths": 0, "alpha": 0.5}
            axes.scatter(points[:, 0], points[:, 1], **dots, rasterized=True)
            axes.set(ylim=edges[:, 1], ylabel="2")
        axes.set(title=name, xlim=edges[:, 0], xlabel="1")
    save_figure(figure, path)
