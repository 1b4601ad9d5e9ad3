"""What `map-manifold` leaves in its folder.

```
distances.npy             [m, m]        coordinates.npy, .csv   [m, d], one row per map
eigenvalues.npy           [m], of classical scaling             summary.json
distances.png, manifold.png
```

and of resampled maps

```
maps/                     map_000.mrc ..., latents.npy; counts.npy, member.npy: the images of each
path.npy                  [k, d]: the path of least free energy       landscape.png
states/                   map_000.mrc ...: means of the maps along the path
labels.npy                [n]: stretch of the path that most maps of an image are in, -1 for none
subsets/                  state_00.star ... (or .cs)
```
"""

import csv
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.classical_scaling import negative_mass
from ..analysis.map_series import write_series
from ..results.disk import explained, write_text
from .map_manifold import MapManifoldConfig
from .map_manifold_maps import ManifoldMaps, Origin
from .map_manifold_ways import Landscape, Manifold, embedding_name
from .subsets import write_subsets

LOG = logging.getLogger("cryojax_het")


def write_manifold(
    output: Path, config: MapManifoldConfig, maps: ManifoldMaps, found: Manifold
) -> dict[str, Any]:
    """All files; returns the summary."""
    with explained(output):
        output.mkdir(parents=True, exist_ok=True)
        np.save(output / "distances.npy", found.distances)
        np.save(output / "eigenvalues.npy", found.eigenvalues)
        np.save(output / "coordinates.npy", found.embedding.coordinates)
        _write_csv(output / "coordinates.csv", maps, found)
        if found.landscape is not None and maps.origin is not None:
            _write_landscape(output, maps.origin, found.landscape)
        _draw(output, config, maps, found)
        summary = _summary(config, maps, found)
        write_text(output / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def _write_csv(path: Path, maps: ManifoldMaps, found: Manifold) -> None:
    columns: dict[str, Any] = {"map": maps.names}
    points = found.embedding.coordinates
    columns |= {f"coordinate_{k + 1}": points[:, k] for k in range(points.shape[1])}
    if maps.latents is not None:
        columns |= {f"latent_{k + 1}": column for k, column in enumerate(maps.latents.T)}
    if found.landscape is not None:
        energy, along = found.landscape.energy, found.landscape.along
        columns |= {"images": energy.counts, "energy": energy.map_energies()}
        columns |= {"landscape": energy.energy(points), "along_path": along.place}
        columns |= {"state": along.group}
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_landscape(output: Path, origin: Origin, landscape: Landscape) -> None:
    voxel, counts = origin.run.voxel_size, origin.clusters.counts
    write_series(output / "maps", origin.latents, lambda _: iter(origin.full), voxel)
    np.save(output / "maps" / "counts.npy", counts)
    np.save(output / "maps" / "member.npy", origin.clusters.member)
    np.save(output / "path.npy", landscape.path)
    np.save(output / "labels.npy", landscape.votes.label)
    states = np.unique(landscape.along.group)
    weights = np.stack([(landscape.along.group == state) * counts for state in states])
    weights = weights / weights.sum(axis=1, keepdims=True)
    means = (np.tensordot(row, origin.full, axes=1) for row in weights)
    write_series(output / "states", weights @ origin.latents, lambda _: means, voxel)
    np.save(output / "states" / "states.npy", states)
    _write_subsets(output / "subsets", origin, landscape)


def _write_subsets(folder: Path, origin: Origin, landscape: Landscape) -> None:
    label = landscape.votes.label
    states = np.unique(label[label >= 0])
    rows = {f"state_{state:02d}": np.flatnonzero(label == state) for state in states}
    write_subsets(folder, origin.run.settings.particles, rows, "state_*")


def _draw(output: Path, config: MapManifoldConfig, maps: ManifoldMaps, found: Manifold) -> None:
    from ..report.manifold_plots import plot_distances, plot_landscape, plot_manifold

    points, latents = found.embedding.coordinates, maps.latents
    colour = np.arange(len(points)) if latents is None else latents[:, 0]
    label = "number of the map" if latents is None else "first latent"
    try:
        plot_distances(output / "distances.png", found.distances, _unit(config))
        shown = points, found.eigenvalues, found.distances
        plot_manifold(output / "manifold.png", shown, (colour, label), found.embedding.stress)
        if found.landscape is not None and points.shape[1] > 1:
            energy, path = found.landscape.energy, found.landscape.path
            group = found.landscape.along.group
            plot_landscape(output / "landscape.png", energy, path, group)
    except ImportError as error:  # the numbers are there; pictures are an extra
        LOG.warning("%s", error)


def _unit(config: MapManifoldConfig) -> str:
    return "distance (Å)" if config.by == "displacement" else "distance"


def _summary(config, maps: ManifoldMaps, found: Manifold) -> dict[str, Any]:
    positive = np.maximum(found.eigenvalues, 0)
    shares = positive / max(float(positive.sum()), 1e-300)
    summary = {
        "maps": len(maps.names),
        "by": config.by,
        "embedding": embedding_name(config),
        "size": maps.maps.shape[1],
        "pixel_size": maps.pixel_size,
        "stress": found.embedding.stress,
        "shares": shares[: max(config.dimensions, 5)].tolist(),
        "negative_mass": negative_mass(found.eigenvalues),
    }
    if found.landscape is not None:
        votes = found.landscape.votes
        counts = np.bincount(votes.label[votes.kept], minlength=config.states)
        summary |= {"images": len(votes.label), "images_kept": int(votes.kept.sum())}
        summary |= {"state_sizes": counts.tolist()}
    return summary
