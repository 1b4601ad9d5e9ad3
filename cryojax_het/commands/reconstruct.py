"""`cryojax-het reconstruct`: half-maps, their FSC and a Wiener-filtered map from known poses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .image_settings import ImageSettings


@final
@dataclass(frozen=True, kw_only=True)
class ReconstructConfig(ImageSettings):
    """Settings of a reconstruction."""

    passes: int = 1
    """Passes over the data; from the second on the noise is re-estimated from residuals."""
    contrast: bool = False
    """Estimate the contrast of each image (second pass on)."""
    refine: bool = False
    """Refine rotation, shift and contrast of each image locally (second pass on)."""
    refine_angle: float = 2.0
    """Standard deviation of the prior of the refined angle, degrees."""
    refine_shift: float = 2.0
    """Standard deviation of the prior of the refined shift, Å."""
    method: Literal["auto", "exact", "diagonal"] = "auto"
    """Solution of the normal equations: exact (conjugate gradients) or diagonal (one division);
    auto: exact up to a box of some 160 pixels, where its memory is small."""

    def __post_init__(self):
        later = {"contrast": self.contrast, "refine": self.refine}
        for name, wanted in later.items():
            if wanted and self.passes < 2:
                raise ValueError(f"`--{name}` needs a map first: give `--passes 2` or more.")
        if self.contrast and self.refine:
            raise ValueError("`--refine` estimates the contrast too: leave `--contrast` out.")
        if self.passes < 1:
            raise ValueError(f"`--passes` must be at least 1. Got {self.passes}.")


def reconstruct(config: ReconstructConfig, command: Sequence[str]) -> dict:
    """Runs, or takes up, the reconstruction of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from ..inference.devices import keep_compilations, use_cpu_devices
    from .reconstruct_data import load_data
    from .reconstruct_method import affordable_devices, choose_method
    from .reconstruct_run import run

    data = load_data(config)
    keep_compilations()
    method = choose_method(config.method, data.size)
    use_cpu_devices(config.devices or affordable_devices(method, data.size))
    return run(config, data, command)
