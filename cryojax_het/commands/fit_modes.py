"""`cryojax-het fit --volume modes`: normal modes of a structure or a map, fitted to every image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .mixture_settings import MixtureSettings


@final
@dataclass(frozen=True, kw_only=True)
class ModesConfig(MixtureSettings):
    """Settings of a fit of normal modes (HEMNMA)."""

    volume: Literal["modes"] = "modes"
    """Gaussians moved along the soft modes of an elastic network."""
    modes: int = 6
    """Number of modes: the softest in which a good part of the molecule takes part."""
    cutoff: float | None = None
    """Reach of the network's springs, Å; None: the shortest that holds it together, from 15 Å for
    residues, from the spacing of pseudo-atoms."""
    softest: float = 4.0
    """Å: standard deviation of the softest mode's amplitude (root mean square displacement) in the
    first search; stiffer modes as at one temperature. Re-estimated from the images."""
    pose: Literal["refined", "given"] = "refined"
    """Whether rotation and shift of each image are inferred with the amplitudes."""
    angle: float = 3.0
    """Standard deviation of the prior of the refined angle, degrees."""
    shift: float = 2.0
    """Standard deviation of the prior of the refined shift, Å."""
    contrast: float = 0.2
    """Standard deviation of the contrast over images, whose mean is 1."""
    latent_box: int | None = None
    """Pixels of the crop that amplitudes are inferred from; None: up to the resolution of the
    half-maps, at most 64."""
    coarse_box: int | None = None
    """Pixels of the crop that modes of the posterior are searched in; None: half of the former, at
    least 16."""
    starts: int = 8
    """Conformations that the search of each image starts from, spread like the prior."""
    steps: int = 15
    """Damped Gauss-Newton steps of the search."""
    kept: int = 4
    """Modes of the posterior of an image that are followed to the full detail, at most."""
    fine_steps: int = 8
    """Steps at the full detail."""
    calibrations: int = 2
    """Rounds over a few images that scale and blur of the Gaussians and the width of the prior are
    estimated in, before all images are seen."""
    calibration_images: int = 384
    """Images of such a round."""
    passes: int = 1
    """Passes over all images; each starts with the prior that the one before implies."""
    components: int = 4
    """Components of the population of amplitudes at most; held-out images choose."""
    checkpoint_batches: int = 10
    """Batches between checkpoints."""

    def __post_init__(self):
        super().__post_init__()
        counts = ("modes", "starts", "steps", "kept", "fine_steps", "passes", "components")
        for name in (*counts, "calibration_images", "checkpoint_batches"):
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ValueError(f"`--{flag}` must be at least 1. Got {getattr(self, name)}.")
        for name in ("softest", "angle", "shift", "contrast"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`--{name}` must be positive. Got {getattr(self, name)}.")
        if self.calibrations < 0:
            raise ValueError(f"`--calibrations` must not be negative. Got {self.calibrations}.")
        if self.cutoff is not None and self.cutoff <= 0:
            raise ValueError(f"`--cutoff` must be positive. Got {self.cutoff}.")
        for name in ("latent_box", "coarse_box"):
            box = getattr(self, name)
            if box is not None and (box % 2 or box < 8):
                flag = name.replace("_", "-")
                raise ValueError(f"`--{flag}` must be even, from 8. Got {box}.")


def fit_modes(config: ModesConfig, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from .fit_start import opened_data
    from .mixture_reference import structure_atoms
    from .modes_run import run

    if config.structure is not None:
        structure_atoms(config)  # a file that cannot be read is told at once
    return run(config, opened_data(config), command)
