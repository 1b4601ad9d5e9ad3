"""`cryojax-het fit --volume linear`: a mean and principal volumes, and every image's latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .image_settings import ImageSettings


@final
@dataclass(frozen=True, kw_only=True)
class LinearConfig(ImageSettings):
    """Settings of a fit of principal volumes."""

    volume: Literal["linear"] = "linear"
    """A mean and principal volumes."""
    estimator: Literal["em", "covariance", "bootstrap"] = "em"
    """How principal volumes are found. covariance: least squares for the covariance of volumes, in
    two passes; em: the most likely ones, pass by pass from these; bootstrap: the scatter of
    resampled reconstructions, in three, the bluntest."""
    components: int | None = None
    """Number of principal volumes; None: the one of the largest likelihood of held-out images."""
    most_components: int = 10
    """Largest number that is tried where `components` is not given."""
    contrast: float = 0.2
    """Standard deviation of the contrast over images, whose mean is 1; 0: contrast 1."""
    latent_box: int | None = None
    """Pixels of the crop that latents are inferred from; None: up to the resolution of the
    half-maps, at most 64."""
    high_pass: float | None = None
    """Å: frequencies below one over this are left out of latents; None: none."""
    iterations: int = 10
    """Passes of EM at most; the other estimators make none."""
    tolerance: float = 0.02
    """EM is done when a pass changes the log-likelihood per image by less; and the least number of
    components is taken whose gain on held-out images is within this of the largest."""

    def __post_init__(self):
        if self.components is not None and self.components < 1:
            raise ValueError(f"`--components` must be at least 1. Got {self.components}.")
        if self.most_components < 1 or self.iterations < 1:
            raise ValueError("`--most-components` and `--iterations` must be at least 1.")
        if self.contrast < 0:
            raise ValueError(f"`--contrast` must not be negative. Got {self.contrast}.")
        if self.latent_box is not None and (self.latent_box % 2 or self.latent_box < 8):
            raise ValueError(f"`--latent-box` must be even, from 8. Got {self.latent_box}.")

    @property
    def largest(self) -> int:
        """Number of components that EM starts with."""
        return self.most_components if self.components is None else self.components


def fit_linear(config: LinearConfig, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from .fit_start import opened_data
    from .linear_run import run

    return run(config, opened_data(config), command)
