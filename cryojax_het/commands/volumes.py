"""`cryojax-het volumes`: maps at the latents of images, or at any others, of a finished run."""

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np

LOG = logging.getLogger("cryojax_het")

ABOUT = """Make maps at the latents of images, or at any others, of a finished run of `fit`.

By the model itself, by kernel regression (the images near each latent, how near cross-validated
between half-sets for each Fourier band and place; under a soft mask where there is only noise), or
by spectral volumes (smooth functions on the graph of the latents). The last two read all images
once.

examples:
  cryojax-het volumes run1 --particles 3,17,42 -o maps
  cryojax-het volumes run1 --latents z.npy --by regression -o maps
"""


@final
@dataclass(frozen=True, kw_only=True)
class VolumesConfig:
    """Which maps of which run, and how they are made."""

    run: Path
    """Run folder of `cryojax-het fit`, finished."""
    output: Path
    """Folder of the maps; maps of the same names in it are replaced."""
    particles: str = ""
    """Rows of images, from 0, that maps are of: 3,17,42."""
    latents: Path | None = None
    """.npy file of latents [maps, numbers] that maps are at."""
    by: Literal["model", "regression", "spectral", "deformed"] = "model"
    """The model of the run; kernel regression from the images near each latent; or maps that are
    smooth functions on the graph of all latents; or, of moved Gaussians, all images bent to each
    latent."""
    particle_file: Path | None = None
    """The particle file, where it is not at its place of the run."""
    batch: int | None = None
    """Images per batch; None: by box size."""

    def check(self) -> None:
        """`ValueError` where it is not said which maps are wanted, or said twice."""
        if bool(self.particles) == (self.latents is not None):
            raise ValueError("Give either `--particles 3,17` or `--latents FILE.npy`.")


def volumes_line(line: Sequence[str]) -> None:
    """The maps that a command line asks for."""
    from .settings import General, parse

    config, _ = parse(VolumesConfig, "run", line, ABOUT, General)
    made = volumes(config)
    print(f"{config.output}: {len(made)} maps, {made[0].name} to {made[-1].name}.")


def volumes(config: VolumesConfig) -> list[Path]:
    """Make and write the maps; returns their paths. All of them appear at the end, or none.

    Maps of images are `particle_000003.mrc`; others `latent_000.mrc` with `latents.npy` beside.
    Raises `FileNotFoundError` and `ValueError`, saying what is wrong, before any work.
    """
    from tqdm import tqdm

    from ..inference.devices import keep_compilations
    from ..particles.mrc import MrcVolume, write_volume
    from .volume_makers import WAYS
    from .volume_run import open_fitted, wanted_maps

    config.check()
    _check_output(config.output)
    run = open_fitted(config)
    wanted = wanted_maps(config, run.cloud)
    keep_compilations()
    maker, voxel = WAYS[config.by](run), run.voxel_size
    with _appearing(config.output) as folder:
        for one in tqdm(wanted, desc="maps", unit=" maps", file=sys.stderr):
            found = np.asarray(maker.volume(one), np.float32)
            write_volume(folder / f"{one.name}.mrc", MrcVolume(found, voxel))
        points = np.stack([one.target.latent for one in wanted])
        np.save(folder / "latents.npy", points.astype(np.float32))
    return [config.output / f"{one.name}.mrc" for one in wanted]


def _check_output(path: Path) -> None:
    """Before the work, not after it."""
    if path.exists() and not path.is_dir():
        raise FileExistsError(f"{path} is a file: choose another output by `-o`.")
    there = path
    while not there.exists():
        there = there.absolute().parent
    if not os.access(there, os.W_OK):
        raise PermissionError(f"{there} is not writable: choose another output by `-o`.")


@contextmanager
def _appearing(output: Path) -> Iterator[Path]:
    """A hidden folder whose files move to `output` at the end; gone after an error."""
    made = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    hidden = Path(tempfile.mkdtemp(prefix=".volumes.", dir=output))
    try:
        yield hidden
        for path in sorted(hidden.iterdir()):
            os.replace(path, output / path.name)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if made and not any(output.iterdir()):
            output.rmdir()
