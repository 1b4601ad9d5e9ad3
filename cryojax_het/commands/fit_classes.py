"""`cryojax-het fit --volume classes`: a few rigid volumes, and the class of every image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from .image_settings import ImageSettings


@final
@dataclass(frozen=True, kw_only=True)
class ClassesConfig(ImageSettings):
    """Settings of a classification."""

    volume: Literal["classes"] = "classes"
    """A few rigid volumes."""
    classes: tuple[int, ...] = (4,)
    """Number of classes; of several numbers the one of the largest likelihood of held-out images
    is kept."""
    seeds: int = 1
    """Random starts; the one of the largest likelihood of held-out images is kept."""
    start: Path | None = None
    """What to start from: labels.npy, a table of latents, which k-means clusters, or a run folder;
    of one with latents and their covariance (`--volume linear`), the mixture of points under which
    the images are most likely. None: random subsets of the images."""
    algorithm: Literal["em", "stochastic"] = "em"
    """Volumes solved from all images at a time, or from mini-batches with a fading memory."""
    iterations: int | None = None
    """Passes over the images, at most; None: 25, of stochastic EM 8."""
    low_pass: float = 40.0
    """Å: the finest detail seen in the first passes after a random start."""
    low_iterations: int | None = None
    """Passes at `--low-pass`; None: 10, of stochastic EM 3."""
    sharpness: float = 0.1
    """Power of the likelihoods in the first of these passes, rising to 1 in the last."""
    resolution: float | None = None
    """Å: the finest detail that classes are told apart by; None: all that the box holds."""
    tolerance: float = 1e-3
    """Done when a pass gains less log-likelihood per image, twice."""
    contrast: float = 0.2
    """Standard deviation of the contrast over images, whose mean is 1; 0: contrast 1."""
    refine: bool = False
    """Refine rotation and shift of each image locally, under its two most probable classes, once
    all detail is seen."""
    refine_angle: float = 2.0
    """Standard deviation of the prior of the refined angle, degrees."""
    refine_shift: float = 2.0
    """Standard deviation of the prior of the refined shift, Å."""
    smallest: int = 100
    """Fewer images are no class; at most a fifth of an even share, at least a twentieth."""
    held_out: float = 0.1
    """Share of the images kept apart where several fits are compared."""

    def __post_init__(self):
        if not self.classes or min(self.classes) < 1:
            raise ValueError(f"`--classes` must be at least 1. Got {self.classes}.")
        if self.seeds < 1 or (self.iterations is not None and self.iterations < 1):
            raise ValueError("`--seeds` and `--iterations` must be at least 1.")
        if not 0 < self.held_out < 1:
            raise ValueError(f"`--held-out` must lie between 0 and 1. Got {self.held_out}.")
        if self.low_pass <= 0 or (self.resolution is not None and self.resolution <= 0):
            raise ValueError("`--low-pass` and `--resolution` must be positive.")
        if not 0 < self.sharpness <= 1:
            raise ValueError(f"`--sharpness` must be above 0, at most 1. Got {self.sharpness}.")
        if self.contrast < 0:
            raise ValueError(f"`--contrast` must not be negative. Got {self.contrast}.")

    def start_file(self) -> Path | None:
        """The labels or latents to start from. `FileNotFoundError` where a folder has none."""
        if self.start is None or not self.start.is_dir():
            return self.start
        for name in ("latents/labels.npy", "latents/conformation.npy"):
            if (self.start / name).is_file():
                return self.start / name
        raise FileNotFoundError(f"{self.start} has neither labels nor conformations in latents/.")

    def start_covariance(self) -> Path | None:
        """The covariance of the latents to start from, where a run folder has it."""
        found = self.start_file()
        if found is None or found == self.start or found.name != "conformation.npy":
            return None
        path = found.with_name("conformation_covariance.npy")
        return path if path.is_file() else None

    def inputs(self) -> list[Path]:
        """The files whose change would make another run of this."""
        found = (self.start_file(), self.start_covariance())
        return super().inputs() + [path for path in found if path is not None]

    def candidates(self) -> list[tuple[int, int]]:
        """(classes, seed) of each fit to be made."""
        seeds = range(self.seed, self.seed + self.seeds)
        return [(count, seed) for count in self.classes for seed in seeds]


def fit_classes(config: ClassesConfig, command: Sequence[str]) -> dict:
    """Runs, or takes up, the classification of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from ..inference.devices import keep_compilations, use_cpu_devices
    from .classes_run import run
    from .classes_setting import affordable_class_devices
    from .classes_start import check_start
    from .reconstruct_data import load_data

    data = load_data(config)
    check_start(config, data)
    keep_compilations()
    largest = max(config.classes)
    use_cpu_devices(config.devices or affordable_class_devices(largest, data.size))
    return run(config, data, command)
