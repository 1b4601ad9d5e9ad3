"""`cryojax-het fit --volume prolate`: a hyper-molecule, and every image's latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .image_settings import ImageSettings

_FEWEST_DRAWS = 8  # of which a standard deviation, and how chains mix, can be told


@final
@dataclass(frozen=True, kw_only=True)
class ProlateConfig(ImageSettings):
    """Settings of a fit of a hyper-molecule (Lederman, Andén & Singer 2020, Inverse Probl. 36)."""

    volume: Literal["prolate"] = "prolate"
    """Prolate functions of the particle's ball times functions of the latents."""
    latents: int = 1
    """Number of latents, each even over its range."""
    path: Literal["interval", "circle"] = "interval"
    """What a latent ranges over: -1 to 1 from end to end; or a circle, told by two coordinates."""
    functions: Literal["legendre", "chebyshev", "cosine"] = "legendre"
    """On an interval. A circle has a Fourier series."""
    order: int = 3
    """Largest order in the latents, all together."""
    nodes: int | None = None
    """Nodes along each latent that beliefs are on; None: 41, 21, 11 for one, two, three latents."""
    share: float = 0.3
    """Prolate functions are kept that have more than this of their energy within the band."""
    start: Literal["principal", "random"] = "principal"
    """Of the terms of first order: leading principal volumes, or noise."""
    contrast: float = 0.2
    """Standard deviation of the contrast over images, whose mean is 1; 0: contrast 1."""
    latent_box: int | None = None
    """Pixels of the crop that latents are inferred from; None: up to the resolution of the
    half-maps, at most 64."""
    iterations: int = 12
    """Passes of EM with the functions up to each order, at most."""
    tolerance: float = 0.02
    """An order is done when a pass changes the log-likelihood per image by less."""

    draws: int = 0
    """Draws from the posterior of molecule and latents together after the fit, a pass each; of the
    last three quarters, maps of the pointwise standard deviation."""

    def __post_init__(self):
        if not 1 <= self.latents <= 3:
            raise ValueError(f"`--latents` must be 1, 2 or 3. Got {self.latents}.")
        if self.order < 1 or self.iterations < 1:
            raise ValueError("`--order` and `--iterations` must be at least 1.")
        if not 0 < self.share < 1:
            raise ValueError(f"`--share` must be between 0 and 1. Got {self.share}.")
        if self.nodes is not None and self.nodes <= self.order:
            raise ValueError(f"`--nodes` must be more than `--order`. Got {self.nodes}.")
        if self.contrast < 0 or self.tolerance <= 0:
            raise ValueError("`--contrast` must not be negative, and `--tolerance` positive.")
        if self.draws < 0 or 0 < self.draws < _FEWEST_DRAWS:
            raise ValueError(f"`--draws` must be 0, or {_FEWEST_DRAWS} or more. Got {self.draws}.")
        if self.latent_box is not None and (self.latent_box % 2 or self.latent_box < 8):
            raise ValueError(f"`--latent-box` must be even, from 8. Got {self.latent_box}.")


def fit_prolate(config: ProlateConfig, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from .fit_start import opened_data
    from .prolate_run import run

    return run(config, opened_data(config), command)
