"""`cryojax-het analyse`: what a run found, as maps, densities, clusters, scores and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

ABOUT = """Analyse what a fit found: maps along its latents, free energies, clusters, outliers.

Everything goes to RUN/analysis: component_01/map_000.mrc, ... along each component, path/ along the
density of images, energy_path/ along the least free energy between two wells, where there are two,
clusters/ at the images nearest to centres, subsets/ (STAR or .cs of the kept images and of each
cluster), embeddings/, image_scores.csv, landscape_01.csv, ..., summary.json, figures. On request,
side_by_side/ and local_resolution/ at the centres of clusters, which read all images once more.

A series opens in ChimeraX by: open RUN/analysis/component_01/map_*.mrc vseries true

examples:
  cryojax-het analyse run1
  cryojax-het analyse run1 --clusters 10 --maps 20 --masked
  cryojax-het analyse run1 --path 12 4031
  cryojax-het analyse run1 --no-scores --embeddings pca diffusion
  cryojax-het analyse run1 --clusters 6 --side-by-side --local-resolution
"""


@final
@dataclass(frozen=True, kw_only=True)
class AnalyseConfig:
    """Settings of an analysis of a run."""

    run: Path
    """Run folder of `cryojax-het fit`; results go to its `analysis` folder."""
    clusters: int = 20
    """Clusters of the latents; `dense` finds their number itself, `mixture` up to this many."""
    clustering: Literal["kmeans", "mixture", "dense"] = "kmeans"
    """How clusters are found: k-means; a Gaussian mixture, its number by the Bayesian information
    criterion; places where latents are dense (HDBSCAN), images between them in none. The last two
    need scikit-learn."""
    components: int = 4
    """Components that maps and free energies are made along, at most: the leading ones of those
    that images tell anything of."""
    maps: int = 10
    """Maps along each component and along the path."""
    by: Literal["model", "regression"] = "model"
    """How maps are made: by the run's model, or by kernel regression from the images near each
    point, which reads all images once more."""
    side_by_side: bool = False
    """Maps at the clusters' centres by the model and by kernel regression as well, in two folders,
    with the FSC of each pair: side_by_side/."""
    local_resolution: bool = False
    """Local resolution at the clusters' centres, from the half-maps of kernel regression there:
    local_resolution/."""
    path: tuple[int, int] | None = None
    """Images (rows from 0) that a path along the density leads between; None: those at the centres
    of the first and the last cluster."""
    masked: bool = False
    """Multiply maps by the run's mask."""
    scores: bool = True
    """Look at all images again, for outlier scores; without, none is left out."""
    embeddings: tuple[Literal["pca", "diffusion", "tsne", "umap"], ...] = ()
    """Planes that the latents of kept images are laid out in, for `select` and to look at; the last
    two need scikit-learn and umap-learn."""
    threshold: float = 4.0
    """Junk score from which an image is left out of densities, clusters and subsets."""
    resamples: int = 30
    """Of the images, for the bands of free energies."""
    particles: Path | None = None
    """The particle file, where it is no longer where the run had it."""
    data_dir: Path | None = None
    """Folder that image paths start from, where the run had another."""
    seed: int = 0
    """Of k-means, resamples and draws of images."""
    batch: int | None = None
    """Images per batch; None: by box size."""
    devices: int | None = None
    """CPU devices to spread the work over; None: one per core where memory allows."""

    def __post_init__(self):
        least = {"clusters": 2, "components": 1, "maps": 2, "resamples": 0}
        for name, number in least.items():
            if getattr(self, name) < number:
                raise ValueError(f"`--{name}` must be {number} or more. Got {getattr(self, name)}.")
        if not self.threshold > 0:
            raise ValueError(f"`--threshold` must be positive. Got {self.threshold}.")


def analyse_line(line: Sequence[str]) -> None:
    """The analysis that a command line asks for."""
    from .settings import General, parse

    run_analysis(parse(AnalyseConfig, "run", line, ABOUT, General)[0])


def run_analysis(config: AnalyseConfig) -> dict[str, Any]:
    """Write everything under `RUN/analysis`, and print one line of it; returns what `summary.json`
    there holds.

    Raises `FileNotFoundError` and `ValueError`, with the remedy, for a folder that is no run, a run
    without latents or unfinished, or images that are gone: before anything is written.
    """
    from .analyse_makers import map_makers
    from .analyse_outputs import write_analysis
    from .analyse_run import open_analysed
    from .analyse_scores import no_scores, scores_of_images

    analysed = open_analysed(config)
    makers = map_makers(analysed, config)
    scored = (scores_of_images if config.scores else no_scores)(analysed, config)
    summary = write_analysis(analysed, config, makers, scored)
    flagged = "not scored" if summary["flagged"] is None else f"{summary['flagged']:,} flagged"
    clusters = len(summary["cluster_sizes"])
    print(f"{config.run}/analysis: {summary['images']:,} images, {flagged}; {clusters} clusters.")
    return summary
