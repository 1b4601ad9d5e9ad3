"""`cryojax-het report`: one HTML page on a run, for a browser without a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from ..report.page_blobs import Blobs

ABOUT = """Write one self-contained HTML page on a run: what it was, how it converged, its images
as a scatter beside the molecule in 3-D, trajectories, outliers, and choices of images to save.

The page needs no network and no server: open it in a browser with WebGL 2. It shows what the run
folder has; `cryojax-het analyse RUN` before it adds trajectories, clusters, free energies, scores.

examples:
  cryojax-het report run1
  cryojax-het report run1 -o report.html --against run2
  cryojax-het report run1 --truth sim
"""


@final
@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What is shown, and where it goes."""

    run: Path
    """Run folder of any command that leaves one."""
    output: Path | None = None
    """The page; by default `report.html` in the run's folder."""
    against: Path | None = None
    """Another run on the same images, to compare with."""
    truth: Path | None = None
    """truth.h5 of a simulated data set, or its folder."""
    voxels: int = 64
    """Voxels per side of the maps in the page, at most; fewer make it smaller."""
    series: int = 20
    """Maps of one series, at most; of models that are linear in few maps, any number is exact."""
    images: int = 24
    """Images shown of the worst, and of typical ones."""
    particles: Path | None = None
    """The particle file, where it is no longer where the run had it."""
    data_dir: Path | None = None
    """Folder that image paths start from, where the run had another."""

    def __post_init__(self):
        for name, least, most in (("voxels", 8, 64), ("series", 2, 200), ("images", 0, 200)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"`--{name}` must be from {least} to {most}. Got {getattr(self, name)}."
                )

    @property
    def page(self) -> Path:
        """Where the page goes."""
        return self.output or self.run / "report.html"


def report_line(line: Sequence[str]) -> None:
    """The page that a command line asks for."""
    from .settings import General, parse

    run_report(parse(ReportConfig, "run", line, ABOUT, General)[0])


def run_report(config: ReportConfig) -> Path:
    """Write the page; returns its path.

    Raises `FileNotFoundError` for a folder that is no run or a truth that is not there,
    `ImportError` where plotly is missing, `ValueError` where another run is of other images. What
    a run lacks is left out of the page, which says so.
    """
    from ..report.page_blobs import Blobs
    from .report_against import beside
    from .report_content import report_content
    from .report_run import open_reported

    reported, blobs = open_reported(config), Blobs()
    others = [] if config.against is None else [config.against]
    compared = beside(config.run, others, config.truth)
    content = report_content(reported, config, blobs, compared)
    return written(config.page, content, blobs)


def written(page: Path, content: dict[str, Any], blobs: "Blobs") -> Path:
    """Write a page and print where it is; returns its path."""
    from ..report.page_write import write_page

    write_page(page, content["title"], content, blobs)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB. Open it in a browser.")
    return page
