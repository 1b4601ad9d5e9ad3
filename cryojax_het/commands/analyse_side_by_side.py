"""Maps at the centres of clusters by the model and by kernel regression, side by side.

```
side_by_side/
  model/, regression/     map_000.mrc, ... at the same latents (latents.npy), images.npy
  table.csv               one row per centre: where its curves fall, Å
  fsc.csv                 the curves: maps_000, ..., deviations_000, ..., halves_000, ...
```

Three curves of each centre, all under the run's mask:

- `maps`: FSC of the two maps, read at 0.5;
- `deviations`: of what they differ by from each way's mean, weighted by the clusters' images, at
  0.5;
- `halves`: of the half-maps of the regression, corrected for the mask by randomised phases, at
  0.143.

Model and regression see the same images at the same poses and latents, and agree in their noise
too: that they agree is no independent evidence. The half-maps share poses, latents and the choice
of bandwidths, but no image: their curve is what the images near a centre support, given these.
"""

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float

from ..analysis.fsc import masked_fsc, resolution, shell_frequencies
from ..analysis.map_series import MapsAt, read_series, write_series
from ..analysis.side_by_side import SideBySide, side_by_side
from ..particles.mrc import MrcVolume, write_volume
from .analyse_centre_writer import AbstractCentreWriter, Centres
from .analyse_run import Analysed
from .analyse_tables import write_columns

LOG = logging.getLogger("cryojax_het")
_AGREE, _HALVES = 0.5, 0.143  # where curves of two whole maps, and of two halves, are read


@final
@dataclass(frozen=True, kw_only=True)
class SideBySideWriter(AbstractCentreWriter):
    """Writes to `folder`, new. `model` makes its maps; those of the regression are taken times
    `mask`, where there is one. `halves`, `images`: of the centres taken so far."""

    folder: Path
    analysed: Analysed
    centres: Centres
    model: MapsAt
    mask: Float[np.ndarray, "n n n"] | None
    halves: list[Float[np.ndarray, " s"]] = field(default_factory=list)
    images: list[float] = field(default_factory=list)

    def take(self, number, found):
        """Keep the map and what its halves say."""
        place = self.folder / "regression"
        place.mkdir(parents=True, exist_ok=True)
        volume = found.map if self.mask is None else found.map * self.mask
        data = np.asarray(volume, np.float32)
        write_volume(place / f"map_{number:03d}.mrc", MrcVolume(data, self.analysed.voxel))
        halves = found.halves[0], found.halves[1]
        self.halves.append(masked_fsc(*halves, self.analysed.mask).corrected)
        self.images.append(found.images)

    def finish(self):
        """The model's maps, and all that both are compared by."""
        points, places = self.centres.latent, (self.folder / "model", self.folder / "regression")
        write_series(places[0], points, self.model, self.analysed.voxel)
        np.save(places[1] / "latents.npy", points.astype(np.float32))
        for place in places:
            np.save(place / "images.npy", self.centres.row)
        first, second = (partial(read_series, place) for place in places)
        found = side_by_side(first, second, self.analysed.mask, self.centres.size)
        self._write(found, np.stack(self.halves))
        _draw(self.folder, self.analysed.voxel[0], found, np.stack(self.halves))

    def _write(self, found: SideBySide, halves: Float[np.ndarray, "m s"]) -> None:
        size, pixel_size = len(self.analysed.mask), self.analysed.voxel[0]
        length = size * pixel_size
        at = lambda curves, level: np.array([resolution(c, level, length) for c in curves])
        columns = self.centres.columns() | {"regression_images": np.array(self.images)}
        columns["maps_fsc_0.5"] = at(found.maps, _AGREE)
        columns["deviations_fsc_0.5"] = at(found.deviations, _AGREE)
        columns["deviations_correlation"] = found.correlation
        columns["halves_fsc_0.143"] = at(halves, _HALVES)
        write_columns(self.folder / "table.csv", columns)
        curves = {"frequency_1/A": shell_frequencies(size, pixel_size)}
        named = {"maps": found.maps, "deviations": found.deviations, "halves": halves}
        for name, many in named.items():
            curves |= {f"{name}_{number:03d}": curve for number, curve in enumerate(many)}
        write_columns(self.folder / "fsc.csv", curves)
        LOG.info(
            "Model and regression agree to %.3g Å, in their deviations from the mean to %.3g Å "
            "(FSC 0.5); half-maps of the regression to %.3g Å (0.143): medians over %d centres.",
            *(np.median(columns[n]) for n in columns if "_fsc_" in n),
            len(halves),
        )


def _draw(folder: Path, pixel_size: float, found: SideBySide, halves) -> None:
    from ..report.side_by_side_plots import plot_curves, plot_maps

    ways = {name: list(read_series(folder / name)) for name in ("model", "regression")}
    length = pixel_size * len(ways["model"][0])
    panels = {
        "model and regression": (found.maps, _AGREE),
        "their deviations from the mean": (found.deviations, _AGREE),
        "half-maps of the regression": (halves, _HALVES),
    }
    try:
        plot_maps(folder / "maps.png", ways, pixel_size)
        plot_curves(folder / "fsc.png", panels, length)
    except ImportError as error:  # the numbers are there; pictures are an extra
        LOG.warning("%s", error)
