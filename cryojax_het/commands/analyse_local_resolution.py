"""Local resolution at the centres of clusters, of the half-maps of kernel regression there.

```
local_resolution/
  regression_000.mrc, ...   the map at each centre, whose surface is to be coloured
  resolution_000.mrc, ...   Å at each voxel
  table.csv                 one row per centre: percentiles of these where the map is
  latents.npy, images.npy   of the centres
```

The half-maps share no image, but poses, latents and the choice of bandwidths: what is told is where
the images near a centre agree, given these. See `analysis/local_resolution.py`.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from ..analysis.local_resolution import LocalWindow, local_resolution
from ..particles.mrc import MrcVolume, read_volume, write_volume
from .analyse_centre_writer import AbstractCentreWriter, Centres
from .analyse_run import Analysed
from .analyse_tables import write_columns

LOG = logging.getLogger("cryojax_het")
_PERCENTILES = (5, 25, 50, 75, 95)


@final
@dataclass(frozen=True, kw_only=True)
class LocalResolutionWriter(AbstractCentreWriter):
    """Writes to `folder`, new. `window`: that is moved over the maps; `percentiles`: of the centres
    taken so far."""

    folder: Path
    analysed: Analysed
    centres: Centres
    window: LocalWindow
    percentiles: list[Float[np.ndarray, " p"]] = field(default_factory=list)

    def take(self, number, found):
        """Measure, and write both maps."""
        self.folder.mkdir(parents=True, exist_ok=True)
        mask, voxel = self.analysed.mask, self.analysed.voxel
        halves = found.halves[0], found.halves[1]
        told = local_resolution(*halves, mask, voxel[0], self.window)
        for name, data in (("regression", found.map), ("resolution", told)):
            path = self.folder / f"{name}_{number:03d}.mrc"
            write_volume(path, MrcVolume(np.asarray(data, np.float32), voxel))
        inside = _inside(found.presence, mask)
        self.percentiles.append(np.percentile(told[inside], _PERCENTILES))

    def finish(self):
        """The table, and the picture."""
        table = np.stack(self.percentiles)
        named = {f"percentile_{p}": c for p, c in zip(_PERCENTILES, table.T, strict=True)}
        write_columns(self.folder / "table.csv", self.centres.columns() | named)
        np.save(self.folder / "latents.npy", self.centres.latent.astype(np.float32))
        np.save(self.folder / "images.npy", self.centres.row)
        _draw(self.folder, self.analysed.voxel[0])


def _inside(
    presence: Float[np.ndarray, "n n n"], mask: Float[np.ndarray, "n n n"]
) -> Bool[np.ndarray, "n n n"]:
    """Where the map is: the regression's own mask within the run's; where it finds nothing, all of
    the run's."""
    inside = (presence > 0.5) & (mask > 0)
    return inside if inside.any() else mask > 0


def _draw(folder: Path, pixel_size: float) -> None:
    from ..report.local_resolution_plots import plot_local_resolution

    maps, resolutions = (
        [read_volume(path).data for path in sorted(folder.glob(f"{name}_*.mrc"))]
        for name in ("regression", "resolution")
    )
    try:
        plot_local_resolution(folder / "resolution.png", maps, resolutions, pixel_size)
    except ImportError as error:  # the numbers are there; pictures are an extra
        LOG.warning("%s", error)
