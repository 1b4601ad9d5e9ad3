"""`cryojax-het latent-prior`: the density of all images' latents, and each image's under it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

ABOUT = """Learn the density of a run's latents by a diffusion, and tell each latent anew under it.

A fit takes latents for standard normal. Here a network learns what they are, from draws of all
images' posteriors; it makes new latents, tells the density of any, and takes the place of the
normal prior in each image's posterior. Images are not looked at again. A tenth of the images is
held out to tell whether the density is better than the normal one, and whether its draws differ
from them.

OUTPUT/latents/: conformation (the most probable), conformation_mean, conformation_covariance,
effective_draws, log_density; OUTPUT/analysis/samples.npy, latent_prior.json;
OUTPUT/plots/latent_prior.png; OUTPUT/model/latent_density.npz.

examples:
  cryojax-het latent-prior run1 -o prior1
  cryojax-het latent-prior run1 -o prior2 --steps 20000 --samples 50000
  cryojax-het volumes run1 -o maps --latents prior1/analysis/samples.npy
"""


@final
@dataclass(frozen=True, kw_only=True)
class LatentPriorConfig:
    """Settings of a density of latents."""

    run: Path
    """Run folder of `fit`, finished."""
    output: Path
    """Folder of results."""
    steps: int = 6000
    """Steps of training."""
    draws: int = 512
    """Latents of each step, from the posteriors of random images."""
    rate: float = 1e-3
    """Learning rate of Adam at the start; it falls to 0 as a cosine."""
    layers: tuple[int, int] = (256, 4)
    """Width and number of the network's residual blocks."""
    samples: int = 4000
    """Draws of the density: written, and what posteriors are told by."""
    seed: int = 0
    """Of the images held out, training and draws."""

    def __post_init__(self):
        for name, least in (("steps", 1), ("draws", 2), ("samples", 100)):
            if getattr(self, name) < least:
                raise ValueError(f"`--{name}` must be {least} or more. Got {getattr(self, name)}.")
        if not self.rate > 0:
            raise ValueError(f"`--rate` must be positive. Got {self.rate}.")
        if min(self.layers) < 1:
            raise ValueError(f"`--layers` must be 1 or more each. Got {self.layers}.")


def latent_prior_line(line: Sequence[str]) -> None:
    """The density that a command line asks for."""
    from .settings import General, Replacing, parse

    config, (replacing, _) = parse(LatentPriorConfig, "run", line, ABOUT, Replacing, General)
    with replacing.around(config.output):
        said = run_latent_prior(config, line)
    gained = said["normal_loss"] / said["held_out_loss"] - 1
    print(
        f"{config.output}: of held-out latents {gained:.0%} less noise is left than by a normal "
        f"density; draws differ from them with p = {said['two_sample_p']:.3f} "
        f"(a normal density's: {said['normal_two_sample_p']:.3f})."
    )


def run_latent_prior(config: LatentPriorConfig, command: Sequence[str]) -> dict[str, Any]:
    """Learn, draw, tell and write; returns the summary of the output's `run.json`.

    Raises `FileNotFoundError`, `FileExistsError` and `ValueError`, with the remedy, before any
    work.
    """
    from .latent_prior_run import run

    return run(config, command)
