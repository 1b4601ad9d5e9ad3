"""`cryojax-het map-manifold`: maps as points, near where they are alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

ABOUT = """Lay out maps as points whose distances are those of the maps: a manifold of volumes.

MAPS is a folder of maps of one box and frame (a series of `analyse`, maps of `volumes`, classes of
any program), or a run folder: its classes, or the clusters that `analyse` left. How far two maps
are apart is told

  fsc           by their Fourier shell correlation; shells of noise count nothing
  correlation   by their correlation, voxel by voxel
  structmap     by what is left after each is bent into the other along its normal modes (StructMap)
  displacement  by how far it has to be bent for that, in Å
  alphacryo4d   by voxels and by the code of an autoencoder. Of a run folder, maps are made first,
                of its images resampled; with a free energy over them, a path along it, and a vote
                of each image's maps for its stretch of the path (AlphaCryo4D)

and points are placed by classical scaling, by least stress, or by t-SNE, which keeps neighbours
alone. Left are distances.npy, coordinates.npy and .csv, eigenvalues.npy, summary.json, figures.

examples:
  cryojax-het map-manifold run1/analysis/clusters -o manifold
  cryojax-het map-manifold run1 --by displacement
  cryojax-het map-manifold class_maps -o manifold --by structmap --modes 8
  cryojax-het map-manifold run1 --by alphacryo4d --clusters 20 --states 8
"""


@final
@dataclass(frozen=True, kw_only=True)
class MapManifoldConfig:
    """Settings of a manifold of maps."""

    maps: Path
    """Folder of maps, or run folder."""
    output: Path | None = None
    """Folder of the results; None: analysis/manifolds/<by> of a run."""
    by: Literal["fsc", "correlation", "structmap", "displacement", "alphacryo4d"] = "fsc"
    """What tells how far two maps are apart."""
    embedding: Literal["classical", "stress", "tsne"] | None = None
    """How points are placed; None: classical, and tsne for alphacryo4d."""
    dimensions: int = 2
    """Coordinates of each map."""
    mask: Path | None = None
    """Map of a mask, 0 to 1; None: the run's, or around the mean of the maps."""
    size: int = 64
    """Voxels per side that maps are brought to, at most; for the autoencoder of alphacryo4d 32 at
    most, whatever is asked for."""
    modes: int = 12
    """structmap, displacement: normal modes that a map is bent along."""
    folds: int = 4
    """alphacryo4d: parts of the images, each left out of one of as many unions."""
    clusters: int = 10
    """alphacryo4d: maps of each union."""
    states: int = 8
    """alphacryo4d: stretches of the path that images are assigned to."""
    epochs: int = 50
    """alphacryo4d: passes over the maps that the autoencoder is trained for."""
    seed: int = 0
    """alphacryo4d, tsne: of all that is drawn."""
    particles: Path | None = None
    """alphacryo4d: the particle file, where it is no longer where the run had it."""
    batch: int | None = None
    """alphacryo4d: images per batch; None: as the run had it, else 64."""

    def __post_init__(self):
        least = {"dimensions": 1, "size": 8, "modes": 1, "folds": 3, "clusters": 2, "states": 2}
        for name, number in (least | {"epochs": 1}).items():
            if getattr(self, name) < number:
                raise ValueError(f"`--{name}` must be {number} or more. Got {getattr(self, name)}.")


def map_manifold_line(line: Sequence[str]) -> None:
    """The manifold that a command line asks for."""
    from .settings import General, parse

    run_map_manifold(parse(MapManifoldConfig, "maps", line, ABOUT, General)[0])


def run_map_manifold(config: MapManifoldConfig) -> dict[str, Any]:
    """Compute and write all, print a line; returns what `summary.json` holds.

    Raises `FileNotFoundError` and `ValueError`, with the remedy, where there are no maps, maps of
    several boxes, or no images to make them of: before anything is written.
    """
    from .map_manifold_maps import output_of, read_maps
    from .map_manifold_output import write_manifold
    from .map_manifold_ways import lay_out

    output = output_of(config)
    maps = read_maps(config)
    found = lay_out(config, maps)
    summary = write_manifold(output, config, maps, found)
    print(
        f"{output}: {summary['maps']} maps by {config.by}; stress {summary['stress']:.3f}, "
        f"{100 * summary['shares'][0]:.0f} % along the first coordinate."
    )
    return summary
