"""`cryojax-het sample`: draws from the posterior of the images of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

Unknown = Literal["conformation", "pose", "shift", "contrast", "noise"]

ABOUT = """Draw from the posterior of latents, poses and noise, images of a finished run given.

The volume is that of the run. Chains of every image begin at the modes that damped Gauss-Newton
finds, follow Hamiltonian trajectories and jump between modes; the noise is drawn in turn with them.
Leaves posterior.nc (ArviZ), analysis/summary.csv, latents with the sampled images updated, and a
figure. The same command takes an interrupted run up where it was.

examples:
  cryojax-het sample run1 -o draws --count 200
  cryojax-het sample run1 -o draws --particles 3,17,42 --unknowns conformation pose shift contrast
  cryojax-het sample run1 -o draws --unknowns conformation noise --chains 8 --draws 1000
"""


@final
@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What is sampled, of which images of which run."""

    run: Path
    """Run folder of `cryojax-het fit`, finished."""
    output: Path
    """Run folder of the draws; an interrupted run there is taken up where it was."""
    particles: str = ""
    """Rows of images, from 0: 3,17,42. None: `--count` of them, drawn by the seed."""
    count: int = 100
    """Number of images, where `--particles` names none."""
    unknowns: tuple[Unknown, ...] = ("conformation", "pose", "shift", "contrast")
    """What is sampled; the rest is held at the estimates of the run."""
    angle: float = 3.0
    """Standard deviation of the prior of the angle about the pose of the particle file, degrees."""
    shift: float = 2.0
    """Standard deviation of the prior of the shift, Å."""
    contrast: float = 0.2
    """Standard deviation of the contrast, whose mean is 1."""
    chains: int = 4
    """Chains of every image."""
    warmup: int = 150
    """Sweeps before the first draw, in which step sizes are tuned."""
    draws: int = 250
    """Draws of every chain."""
    leapfrogs: int = 8
    """Steps of a trajectory."""
    starts: int = 8
    """Conformations that the search for modes of an image starts from."""
    box: int | None = None
    """Pixels of the crop that is looked at; None: that of the run's latents."""
    seed: int = 0
    """Of the images, starts and draws."""
    particle_file: Path | None = None
    """The particle file, where it is not at its place of the run."""
    batch: int | None = None
    """Images moved at a time; None: by box size."""

    def __post_init__(self):
        for name in ("count", "chains", "leapfrogs", "starts"):
            if getattr(self, name) < 1:
                raise ValueError(f"`--{name}` must be at least 1. Got {getattr(self, name)}.")
        if self.draws < 4 or self.warmup < 1:
            raise ValueError(
                f"`--draws` must be at least 4, `--warmup` 1. Got {self.draws} and {self.warmup}."
            )
        for name in ("angle", "shift", "contrast"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`--{name}` must be positive. Got {getattr(self, name)}.")
        if "conformation" not in self.unknowns or len(set(self.unknowns)) < len(self.unknowns):
            raise ValueError(
                "`--unknowns` must name conformation, and each unknown once. Got "
                f"{' '.join(self.unknowns) or 'none'}."
            )
        if self.box is not None and (self.box % 2 or self.box < 8):
            raise ValueError(f"`--box` must be even, from 8. Got {self.box}.")


def sample(config: SampleConfig, command: Sequence[str]) -> dict[str, Any]:
    """Runs, or takes up, the sampling of `config`; returns the summary of its `run.json`.

    Raises `FileNotFoundError`, `ValueError` and `ImportError`, saying what is wrong and the remedy,
    before anything is written.
    """
    from .sample_run import run

    return run(config, command)


def sample_line(line: Sequence[str]) -> None:
    """The sampling that a command line asks for, and one printed line of it."""
    from .settings import General, Replacing, parse

    config, (replacing, _) = parse(SampleConfig, "run", line, ABOUT, Replacing, General)
    with replacing.around(config.output):
        said = sample(config, line)
    print(f"{config.output}: {said['images']:,} images, R-hat {said['r_hat_median']:.3f} (median).")
