"""What an analysis makes of kernel regression at the centres of its clusters, where asked for."""

import shutil
import sys
from pathlib import Path

from ..analysis.local_resolution import LocalWindow, usable_window
from .analyse import AnalyseConfig
from .analyse_centre_writer import AbstractCentreWriter, Centres
from .analyse_local_resolution import LocalResolutionWriter
from .analyse_makers import MapMakers
from .analyse_run import Analysed
from .analyse_side_by_side import SideBySideWriter


def write_centres(
    folder: Path, analysed: Analysed, config: AnalyseConfig, makers: MapMakers, centres: Centres
) -> None:
    """`side_by_side/` and `local_resolution/`; those of an earlier analysis go."""
    from tqdm import tqdm

    writers = list(_writers(folder, analysed, config, makers, centres))
    if not writers or makers.regression is None:
        return
    found = makers.regression.each(centres.latent)
    shown = tqdm(found, "centres", len(centres.row), unit=" maps", file=sys.stderr)
    for number, one in enumerate(shown):
        for writer in writers:
            writer.take(number, one)
    for writer in writers:
        writer.finish()


def _writers(folder: Path, analysed, config, makers, centres) -> list[AbstractCentreWriter]:
    sides, local = folder / "side_by_side", folder / "local_resolution"
    for earlier in (sides, local):
        shutil.rmtree(earlier, ignore_errors=True)
    about = {"analysed": analysed, "centres": centres}
    writers: list[AbstractCentreWriter] = []
    if config.side_by_side:
        mask = analysed.mask if config.masked else None
        writers.append(SideBySideWriter(folder=sides, model=makers.model, mask=mask, **about))
    if config.local_resolution:
        window = usable_window(LocalWindow(), analysed.voxel[0])
        writers.append(LocalResolutionWriter(folder=local, window=window, **about))
    return writers
