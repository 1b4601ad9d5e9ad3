"""What `cryojax-het volumes` takes from a finished run, opened and checked before any work."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float, Float32, Int

from ..inference.regression.cloud import LatentCloud, Target
from ..results.run import RunFolder
from .image_settings import ImageSettings
from .run_images import settings_of_run

if TYPE_CHECKING:
    from .volumes import VolumesConfig


@final
@dataclass(frozen=True)
class Wanted:
    """A map that is asked for: its file's stem, where it is; `row` of the image that it is of."""

    name: str
    target: Target
    row: int | None


@final
@dataclass(frozen=True)
class FittedRun:
    """A finished run with latents; `settings`: of its images."""

    folder: RunFolder
    cloud: LatentCloud
    settings: ImageSettings

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Sides of a voxel, Å."""
        return self.folder.volume("mean").voxel_size

    def mask(self) -> Float32[np.ndarray, "n n n"]:
        """Where the molecule is."""
        return self.folder.volume("mask").data

    def table(self, name: str) -> np.ndarray:
        """`analysis/<name>.npy`. `FileNotFoundError` where the run has none."""
        path = self.folder.path / "analysis" / f"{name}.npy"
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist: this run tells no {name}, which maps from images need. "
                "Use `--by model`, and in `analyse` neither `--side-by-side` nor "
                "`--local-resolution`."
            )
        return np.load(path)

    def half(self) -> Int[np.ndarray, " n"]:
        """Half-set of every image, 1 or 2."""
        return self.table("half").astype(np.int64)

    def noise(self) -> Float[np.ndarray, "g s"]:
        """Spectral density of the noise, by optics group and shell."""
        return np.atleast_2d(self.table("noise"))


def open_fitted(config: "VolumesConfig") -> FittedRun:
    """Open `config.run`. Raises as `fitted_run` does."""
    return fitted_run(config.run, config.particle_file, config.batch)


def fitted_run(path: Path, particle_file: Path | None, batch: int | None) -> FittedRun:
    """Open the run folder `path`, its images at `particle_file` where they have moved.

    Raises `FileNotFoundError` where it is no run or has no latents, `ValueError` where it is not
    finished or has rows without latents.
    """
    folder = RunFolder(path)
    folder.check_finished()
    cloud = cloud_of(folder)
    return FittedRun(folder, cloud, settings_of_run(folder, particle_file, batch))


def cloud_of(folder: RunFolder) -> LatentCloud:
    """The latents of a run. `FileNotFoundError` where it has none, `ValueError` where rows are
    without."""
    latents = folder.latents()
    missing = {"conformation", "conformation_covariance"} - set(latents.names())
    if missing:
        raise FileNotFoundError(
            f"{folder.path} has no latents/{min(missing)}.npy: only a run of `cryojax-het fit` "
            "tells conformations."
        )
    return LatentCloud(
        mean=np.array(latents.read("conformation"), np.float64),
        covariance=np.array(latents.read("conformation_covariance"), np.float64),
    )


def wanted_maps(config: "VolumesConfig", cloud: LatentCloud) -> list[Wanted]:
    """All maps of a command, in order. `ValueError` for a row or a latent that does not fit,
    `FileNotFoundError` where the file of latents is missing."""
    if config.latents is None:
        rows = _rows(config.particles)
        return [Wanted(f"particle_{row:06d}", cloud.image(row), row) for row in rows]
    points = _points(config.latents)
    return [
        Wanted(f"latent_{number:03d}", cloud.point(point), None)
        for number, point in enumerate(points)
    ]


def _rows(text: str) -> Sequence[int]:
    try:
        rows = [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"`--particles` must be rows from 0, as in 3,17,42. Got {text!r}."
        ) from None
    return list(dict.fromkeys(rows))


def _points(path: Path) -> Float[np.ndarray, "m d"]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: give latents by a .npy file.")
    points = np.asarray(np.load(path, allow_pickle=False), np.float64)
    points = points[None] if points.ndim == 1 else points
    if points.ndim != 2 or not len(points) or not np.isfinite(points).all():
        raise ValueError(f"{path} must hold finite numbers [maps, latents]. Got {points.shape}.")
    return points
