"""`cryojax-het reconstruct`: half-maps, their FSC and a Wiener-filtered map from known poses."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, final

from ..particles.stack import ReadOptions


@final
@dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """Settings of a reconstruction."""

    particles: Path
    """Particle file: .star, .cs, .npz, or a stack (.mrcs, .txt) with --poses and --ctf."""
    output: Path
    """Run folder; an interrupted run there is taken up where it was."""
    passthrough: tuple[Path, ...] = ()
    """Passthrough .cs files, joined by uid."""
    poses: Path | None = None
    """cryoDRGN's poses.pkl."""
    ctf: Path | None = None
    """cryoDRGN's ctf.pkl."""
    read: ReadOptions = field(default_factory=ReadOptions)
    """How stacks are found and read."""
    box: int | None = None
    """Fourier-crop the images to this even number of pixels."""
    pixel_size_out: float | None = None
    """Å per pixel of a common grid for optics groups that differ; None: the finest one."""
    invert: bool = False
    """Multiply the images by -1 (dark particles)."""
    normalise: bool = False
    """Give the background of each image mean 0 and standard deviation 1."""
    diameter: float | None = None
    """Particle diameter, Å: beyond it images are background. None: 0.9 of the box."""
    window: bool = False
    """Replace what lies beyond the diameter by its mean, with a soft edge."""
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
    mask: Path | None = None
    """Soft mask (.mrc) for the FSC; None: made from the map."""
    seed: int = 0
    """Half-sets where the file has none, and the sample for the noise."""
    batch: int | None = None
    """Images per batch; None: by box size."""
    devices: int | None = None
    """CPU devices to spread the work over; None: one per core where memory allows."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints."""

    def __post_init__(self):
        later = {"contrast": self.contrast, "refine": self.refine}
        for name, wanted in later.items():
            if wanted and self.passes < 2:
                raise ValueError(f"`--{name}` needs a map first: give `--passes 2` or more.")
        if self.contrast and self.refine:
            raise ValueError("`--refine` estimates the contrast too: leave `--contrast` out.")
        if self.passes < 1:
            raise ValueError(f"`--passes` must be at least 1. Got {self.passes}.")

    def inputs(self) -> list[Path]:
        """The files whose change would make another run of this."""
        given = (self.particles, *self.passthrough, self.poses, self.ctf, self.mask)
        return [path for path in given if path is not None]

    def result_settings(self) -> "ReconstructConfig":
        """Without what cannot change the result, for the comparison with an earlier run."""
        return replace(self, checkpoint_seconds=60.0, read=replace(self.read, threads=8))


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
