"""The images of a finished run, for the commands that go back to them."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..results.run import RunFolder
from .image_settings import ImageSettings
from .settings import from_table

if TYPE_CHECKING:
    from ..imaging.noise import ColouredNoise
    from ..particles.loader import Pixels
    from .reconstruct_data import Data


def settings_of_run(
    run: RunFolder,
    particles: Path | None = None,
    batch: int | None = None,
    data_dir: Path | None = None,
) -> ImageSettings:
    """Image settings of a run, files at the places where it found them, without its mask.

    - `particles`, `batch`, `data_dir`: instead of the run's own, where given.

    Raises `ValueError` where the run was not on particle images.
    """
    known = {field.name for field in fields(ImageSettings)}
    table = {name: value for name, value in run.config().items() if name in known}
    origin = run.path / "config.toml"
    if "particles" not in table:
        raise ValueError(f"{origin} names no `particles`: it is no run on particle images.")
    settings = from_table(ImageSettings, {**table, "output": str(run.path)}, origin)
    # Paths of a command are from the folder that it was given in; the record has them whole.
    noted = [Path(entry["path"]) for entry in run.record()["inputs"]]
    places = dict(zip(settings.inputs(), noted, strict=False))
    found = lambda path: None if path is None else places.get(path, path)
    return replace(
        settings,
        particles=particles or places.get(settings.particles, settings.particles),
        passthrough=tuple(places.get(path, path) for path in settings.passthrough),
        poses=found(settings.poses),
        ctf=found(settings.ctf),
        mask=None,
        read=replace(settings.read, data_dir=data_dir or settings.read.data_dir),
        batch=batch or settings.batch,
    )


def noise_of_run(
    run: RunFolder, settings: ImageSettings, data: "Data", pixels: "Pixels"
) -> "ColouredNoise":
    """As the run left it in `analysis/noise.npy`, else that of the images' background."""
    import jax.numpy as jnp

    from ..imaging.noise import ColouredNoise
    from .image_preparation import initial_noise

    kept = run.path / "analysis" / "noise.npy"
    if kept.is_file():
        return ColouredNoise(jnp.asarray(np.load(kept), jnp.float32))
    return initial_noise(settings, data, pixels)
