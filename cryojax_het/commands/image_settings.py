"""What every command that works on particle images is told about them."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from .particle_settings import ParticleSettings

Settings = TypeVar("Settings", bound="ImageSettings")


@dataclass(frozen=True, kw_only=True)
class ImageSettings(ParticleSettings):
    """Where the images are, how they are read and prepared, and on what they are worked on.

    A base for the settings of commands: `reconstruct`, and the methods of `fit`.
    """

    output: Path
    """Run folder; an interrupted run there is taken up where it was."""
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
    mask: Path | None = None
    """Soft mask (.mrc): of the FSC of half-maps (None: made from the map); of classes, where they
    may have density (None: the ball of the diameter). Principal volumes keep to the ball."""
    seed: int = 0
    """Of all random numbers: half-sets where the file has none, samples, starts."""
    batch: int | None = None
    """Images per batch; None: by box size."""
    devices: int | None = None
    """CPU devices to spread the work over; None: one per core where memory allows."""
    checkpoint_seconds: float = 60.0
    """Seconds between checkpoints of a reconstruction; fits leave one after every pass."""

    def shared(self) -> dict[str, Any]:
        """Settings that every command on images has, for another one on the same images."""
        return {f.name: getattr(self, f.name) for f in fields(ImageSettings)}

    def inputs(self) -> list[Path]:
        """The files whose change would make another run of this."""
        given = (self.particles, *self.passthrough, self.poses, self.ctf, self.mask)
        return [path for path in given if path is not None]

    def result_settings(self: Settings) -> Settings:
        """Without what cannot change the result, for the comparison with an earlier run."""
        return replace(self, checkpoint_seconds=60.0, read=replace(self.read, threads=8))
