"""Which particle file a command reads, and how."""

from dataclasses import dataclass, field
from pathlib import Path

from ..particles.open import open_particles
from ..particles.source import AbstractImageSource
from ..particles.stack import ReadOptions


@dataclass(frozen=True, kw_only=True)
class ParticleSettings:
    """A particle file, the files beside it, and how its stacks are read."""

    particles: Path
    """Particle file: .star, .cs, .npz, or a stack (.mrcs, .txt) with --poses and --ctf."""
    passthrough: tuple[Path, ...] = ()
    """Passthrough .cs files, joined by uid."""
    poses: Path | None = None
    """cryoDRGN's poses.pkl."""
    ctf: Path | None = None
    """cryoDRGN's ctf.pkl."""
    read: ReadOptions = field(default_factory=ReadOptions)
    """How stacks are found and read."""

    def source(self) -> AbstractImageSource:
        """The particles. Errors as `open_particles`."""
        return open_particles(
            self.particles,
            self.read,
            passthrough=self.passthrough,
            poses=self.poses,
            ctf=self.ctf,
        )
