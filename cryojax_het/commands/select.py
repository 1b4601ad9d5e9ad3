"""`cryojax-het select`: some images of a run, as a particle file that refines again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

ABOUT = """Write the images of a run that are wanted, as the particle file they came from.

All conditions that are given must hold. Rows and clusters are counted from 0, latent coordinates
from 1. Columns, image names, pixel size and optics groups stay as they are in the run's particle
file, so that RELION or cryoSPARC refines the subset as it did the whole. With an output that ends
in .txt, the row numbers are written instead, for `--rows` or for other programs.

--cluster, --score and --embedding take what `cryojax-het analyse` left in RUN/analysis.

examples:
  cryojax-het select run1 -o open.star --cluster 0 3
  cryojax-het select run1 -o some.star --box 1 -0.5 0.5 --box 2 0 2 --score junk 0 4
  cryojax-het select run1 -o drawn.star --lasso polygon.json --embedding umap
  cryojax-het select run1 -o rest.star --rows picked.txt --invert-selection
"""


@final
@dataclass(frozen=True, kw_only=True)
class SelectConfig:
    """Which images of which run."""

    run: Path
    """Run folder of `cryojax-het fit`."""
    output: Path
    """Particle file to write, .star or .cs as the run's own; or .txt, of row numbers."""
    cluster: tuple[int, ...] = ()
    """Clusters of the analysis, from 0."""
    box: tuple[tuple[int, float, float], ...] = field(default=(), metadata={"repeated": True})
    """DIM LOW HIGH: a latent coordinate, from 1, and its range. May be given several times."""
    density_above: float | None = None
    """Only images about which latents are denser than this quantile of all, 0 to 1."""
    density_below: float | None = None
    """Only images about which latents are less dense than this quantile of all, 0 to 1."""
    lasso: Path | None = None
    """Polygon: a .json list of [x, y], or lines of x,y."""
    embedding: str | None = None
    """Plane of the polygon: pca, umap, tsne or diffusion, as the analysis left it; None: the latent
    coordinates `--axes`."""
    axes: tuple[int, int] = (1, 2)
    """Latent coordinates, from 1, of the polygon's plane."""
    score: tuple[tuple[str, float, float], ...] = field(default=(), metadata={"repeated": True})
    """COLUMN LOW HIGH: a column of image_scores.csv and its range. May be given several times."""
    rows: Path | None = None
    """Text file of row numbers, from 0, one a line."""
    invert_selection: bool = False
    """The images that the conditions leave out, instead."""
    particles: Path | None = None
    """The particle file, where it is no longer where the run had it."""

    def check(self) -> None:
        """`ValueError` where nothing is wanted, or an embedding has no polygon in it."""
        given = (self.cluster, self.box, self.score)
        single = (self.density_above, self.density_below, self.lasso, self.rows)
        if not any(given) and all(value is None for value in single):
            raise ValueError(
                "Say which images are wanted: `--cluster`, `--box`, `--density-above`, "
                "`--density-below`, `--lasso`, `--score` or `--rows`."
            )
        if self.embedding is not None and self.lasso is None:
            raise ValueError("`--embedding` is the plane of a polygon: give it by `--lasso`.")


def select_line(line: Sequence[str]) -> None:
    """The selection that a command line asks for."""
    from .select_rows import write_selection
    from .settings import General, parse

    config, _ = parse(SelectConfig, "run", line, ABOUT, General)
    write_selection(config)
