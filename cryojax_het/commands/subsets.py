"""Subsets of a run's images as particle files of its own format."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int

from ..particles.export import export_rows
from .analyse_run import table_format

LOG = logging.getLogger("cryojax_het")


def write_subsets(
    folder: Path, original: Path, rows: Mapping[str, Int[np.ndarray, " _"]], earlier: str
) -> None:
    """Write `folder/NAME.star` (or `.cs`) of the rows of each name; files of an earlier call that
    match the pattern `earlier` go. Where `original` cannot be written back, none, with a warning.
    """
    for path in folder.glob(earlier):
        path.unlink()
    ending = table_format(original)
    if ending is None or not original.is_file():
        LOG.warning("No subsets are written: %s is no .star or .cs that is there.", original)
        return
    folder.mkdir(exist_ok=True)
    for name, members in rows.items():
        export_rows(folder / f"{name}{ending}", original, members)
