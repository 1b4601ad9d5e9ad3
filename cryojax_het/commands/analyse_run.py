"""What an analysis takes from a run folder, opened and checked before anything is computed."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float

from ..analysis.density import LatentPosteriors
from ..results.run import RunFolder
from .analyse import AnalyseConfig
from .fitted_maps import MODELS, FittedMaps
from .image_settings import ImageSettings
from .run_images import settings_of_run


@final
@dataclass(frozen=True, kw_only=True)
class Analysed:
    """A finished run: its folder, latents, volumes and image settings.

    - `gain`: `log p(y) - log p(y | mean)` of each image, latents integrated; None where the run
      did not keep it.
    """

    run: RunFolder
    posteriors: LatentPosteriors
    maps: FittedMaps
    images: ImageSettings
    gain: Float[np.ndarray, " n"] | None

    @property
    def voxel(self) -> tuple[float, float, float]:
        """Sides of a voxel, Å."""
        return self.maps.mean.voxel_size

    @property
    def mask(self) -> Float[np.ndarray, "n n n"]:
        """The run's mask; ones where it has none."""
        mask = self.run.mask()
        return np.ones_like(self.maps.mean.data) if mask is None else mask


def open_analysed(config: AnalyseConfig) -> Analysed:
    """Open `config.run`. Raises `FileNotFoundError` where it is no run or has no latents,
    `ValueError` where it is unfinished or its model makes no maps."""
    run = RunFolder(config.run)
    run.check_finished()
    table = run.latents()
    if "conformation" not in table.names():
        raise FileNotFoundError(
            f"{run.path} has no latents/conformation.npy: a run of `reconstruct`, or of classes, "
            "has no conformations to analyse. Fit a model of them by `cryojax-het fit`."
        )
    if "conformation_covariance" not in table.names():
        raise FileNotFoundError(
            f"{run.path} has no latents/conformation_covariance.npy: without the widths of the "
            "posteriors, neither free energies nor distances between images can be told."
        )
    kind = run.config().get("volume", "linear")
    if kind not in MODELS:
        raise ValueError(
            f"{run.path}: a model of the kind {kind!r} makes no maps at latents here; known: "
            f"{', '.join(MODELS)}."
        )
    maps = MODELS[kind](run)
    mean = np.array(table.read("conformation"))
    if mean.shape[1:] != (maps.latent_size,):
        raise ValueError(
            f"{run.path}: latents of {mean.shape[1:]} do not fit {maps.latent_size} components."
        )
    posteriors = LatentPosteriors(
        mean=mean, covariance=np.array(table.read("conformation_covariance"))
    )
    return Analysed(
        run=run,
        posteriors=posteriors,
        maps=maps,
        images=settings_of_run(run, config.particles, config.batch, config.data_dir),
        gain=_gain(run),
    )


def _gain(run: RunFolder) -> Float[np.ndarray, " n"] | None:
    names = ("log_likelihood", "log_likelihood_mean")
    table = run.latents()
    if not set(names) <= set(table.names()):
        return None
    whole, mean = (np.array(table.read(name), np.float64) for name in names)
    return whole - mean


def table_format(particles: Path) -> str | None:
    """The ending of a table whose rows can be written back; None for other files."""
    suffix = particles.suffix.lower()
    return suffix if suffix in (".star", ".cs") else None
