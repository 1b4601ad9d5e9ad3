"""`cryojax-het compare`: several runs on the same images on one HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

ABOUT = """Compare runs on the same images (methods, seeds, settings) on one self-contained HTML
page: their latents brought to the coordinates of the first, how far all agree on neighbours,
classes and maps, and the images that they disagree on beyond what their posteriors allow.

Two runs on the same images share noise, and so agree on more than is true.

examples:
  cryojax-het compare run1 run2 -o compare.html
  cryojax-het compare run1 run2 run3 -o compare.html --truth sim
"""


@final
@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """What is compared, and where the page goes."""

    runs: tuple[Path, ...]
    """Run folders; latents are shown in the coordinates of the first."""
    output: Path = Path("compare.html")
    """The page."""
    truth: Path | None = None
    """truth.h5 of a simulated data set, or its folder."""
    voxels: int = 64
    """Voxels per side of the maps in the page, at most."""
    images: int = 24
    """Images shown of those that runs disagree on."""
    particles: Path | None = None
    """The particle file, where it is no longer where the first run had it."""
    data_dir: Path | None = None
    """Folder that image paths start from, where the first run had another."""

    def __post_init__(self):
        if len(self.runs) < 2:
            raise ValueError(f"`compare` takes two runs or more. Got {len(self.runs)}.")


def compare_line(line: Sequence[str]) -> None:
    """The page that a command line asks for."""
    from .settings import General, parse

    run_compare(parse(CompareConfig, "runs", line, ABOUT, General)[0])


def run_compare(config: CompareConfig) -> Path:
    """Write the page; returns its path. Raises as `report` does."""
    from ..report.page_blobs import Blobs
    from .compare_content import compare_content
    from .report import written

    blobs = Blobs()
    content = compare_content(config, blobs)
    return written(config.output, content, blobs)
