"""A run as a report finds it: its folder, that of its maps, its images, what there is of them."""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from ..analysis.expanded_maps import expanded_maps
from ..analysis.image_count import count_images
from ..analysis.map_series import linear_maps
from ..particles.source import AbstractImageSource
from ..report.page_blobs import Blobs
from ..report.page_maps import MapBook, MapFrame, map_frame
from ..report.page_series import MixBasis
from ..results.latents import LatentTable
from ..results.run import RunFolder
from .report import ReportConfig
from .run_images import settings_of_run

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True, kw_only=True)
class Reported:
    """A run, finished or not.

    - `base`: the run whose maps and analysis it uses: itself, or the one it was made from, of
      `sample`, `latent-prior` and `free-energy`.
    - `source`: its images, and `particles` their file; None where they are gone.
    - `count`: images; `notes`: sentences on what is missing.
    """

    run: RunFolder
    base: RunFolder
    source: AbstractImageSource | None
    particles: Path | None
    count: int | None
    notes: list[str] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The run's model or command."""
        config = self.run.config()
        command = self.run.record()["command"]
        name = command[1] if len(command) > 1 else "run"
        return f"{name}, {config['volume']}" if "volume" in config else name

    @property
    def kind(self) -> str:
        """Which model makes the maps; empty where there is one map for all."""
        return str(self.base.config().get("volume", ""))

    @property
    def estimates(self) -> LatentTable:
        """Conformations and what goes with them: the run's, or the base's where it has none."""
        own = self.run.latents()
        return own if "conformation" in own.names() else self.base.latents()

    def folder(self, *parts: str) -> Path:
        """A folder of the run, or of the base where the run has none."""
        own = self.run.path.joinpath(*parts)
        return own if own.exists() else self.base.path.joinpath(*parts)


def open_reported(config: ReportConfig) -> Reported:
    """Open `config.run`. Raises `FileNotFoundError` where it is no run folder."""
    run = RunFolder(config.run)
    base, notes = _base(run), []
    source, particles = _images(base, config, notes)
    count = count_images(run.path)
    if source is not None and count is not None and len(source) != count:
        notes.append(
            f"{particles} has {len(source)} images, the run {count}: its columns are left out."
        )
        source = None
    if count is None and source is not None:
        count = len(source)
    return Reported(
        run=run, base=base, source=source, particles=particles, count=count, notes=notes
    )


def _base(run: RunFolder) -> RunFolder:
    other = run.config().get("run")
    if not other:
        return run
    noted = [Path(entry["path"]).parent for entry in run.record()["inputs"]]
    for folder in (Path(other), run.path.parent / Path(other).name, *noted):
        if (folder / "run.json").is_file():
            return RunFolder(folder)
    return run


def _images(base: RunFolder, config: ReportConfig, notes: list[str]):
    try:
        settings = settings_of_run(base, config.particles, None, config.data_dir)
        return settings.source(), settings.particles
    except (OSError, ValueError) as error:
        notes.append(
            f"The particle file could not be read ({str(error).splitlines()[0]}): defocus, image "
            "pictures and saving as STAR are left out. Give it by --particles or --data-dir."
        )
        return None, config.particles


def map_book(reported: Reported, config: ReportConfig, blobs: Blobs) -> MapBook | None:
    """An empty book in the frame of the run's maps; None where it has none."""
    main = main_map(reported.base)
    if main is None:
        return None
    volume = reported.base.volume(main)
    return MapBook(_frame(reported.base, volume, config.voxels), blobs)


def main_map(run: RunFolder) -> str | None:
    """Name of the map that stands for a run: its mean, else its first."""
    names = sorted(path.stem for path in (run.path / "volumes").glob("*.mrc"))
    names = [name for name in names if name not in ("mask", "moving")]
    return "mean" if "mean" in names else next(iter(names), None)


def _frame(run: RunFolder, volume, voxels: int) -> MapFrame:
    mask = run.mask()
    mask = np.ones_like(volume.data) if mask is None else mask
    return map_frame(mask, float(volume.voxel_size[0]) or 1.0, voxels)


def map_basis(reported: Reported, book: MapBook) -> MixBasis | None:
    """The maps that the run's model is linear in; None for other models."""
    makers = {"linear": _linear_basis, "prolate": _expanded_basis}
    maker = makers.get(reported.kind)
    try:
        return None if maker is None else maker(reported.base, book)
    except FileNotFoundError:  # the run has not come to its maps
        return None


def _linear_basis(run: RunFolder, book: MapBook) -> MixBasis:
    maps = linear_maps(run)
    parts = [book.add(f"component {k + 1}", part) for k, part in enumerate(maps.components)]
    mean = book.add("mean", maps.mean.data)
    return MixBasis(mean=mean, parts=parts, coefficients=lambda z: z, free=True)


def _expanded_basis(run: RunFolder, book: MapBook) -> MixBasis:
    maps = expanded_maps(run)
    parts = [book.add(f"term {k + 1}", part) for k, part in enumerate(maps.terms)]
    mean = book.add("mean", maps.mean.data)
    return MixBasis(mean=mean, parts=parts, coefficients=maps.coordinates, free=False)


def analysis_summary(reported: Reported) -> dict[str, Any]:
    """`analysis/summary.json` of the base; empty where there is none."""
    path = reported.base.path / "analysis" / "summary.json"
    return json.loads(path.read_text()) if path.is_file() else {}
