"""Settings of simulations. Nothing here needs JAX: the command line's help shows them at once."""

from dataclasses import dataclass, field
from pathlib import Path

from .motion_settings import MotionSettings

# Fields too rich for flags: a command line leaves them out, a TOML file may set them.
FILE_ONLY = {"file_only": True}


@dataclass(frozen=True)
class CtfDistribution:
    """Microscope settings and the distribution of defocus values over micrographs."""

    defocus: float = 1.8
    """Mean underfocus, µm."""
    defocus_spread: float = 0.45
    """Standard deviation of the underfocus, µm."""
    defocus_range: tuple[float, float] = (0.5, 3.5)
    """Values outside are drawn again, µm."""
    astigmatism: float = 500.0
    """Mean of defocus U - V, Å; its standard deviation is a quarter of that."""
    micrograph: int = 50
    """Neighbouring images that share one defocus."""
    voltage: float = 300.0
    """kV."""
    spherical_aberration: float = 2.7
    """mm."""
    amplitude_contrast: float = 0.1
    """Fraction."""


@dataclass(frozen=True)
class NoiseShape:
    """Shape of the noise spectrum, `1 + excess / (1 + (2π k length)²)`; its level is separate."""

    excess: float = 0.0
    """Power at k = 0 over that at high frequency, minus 1; 0 is white noise."""
    length: float = 20.0
    """Correlation length of the excess, Å."""


@dataclass(frozen=True)
class Views:
    """Distribution of viewing directions; the angle in the image plane is always uniform."""

    view_clusters: int = 0
    """Number of preferred directions, placed at random; 0: all directions alike."""
    view_spread: float = 20.0
    """Standard deviation of directions about a preferred one, along each axis, degrees."""
    view_background: float = 0.1
    """Share of images whose direction is uniform all the same."""

    def __post_init__(self):
        if self.view_clusters < 0 or not self.view_spread > 0 or not 0 <= self.view_background <= 1:
            raise ValueError(
                "`view_clusters` must not be negative, `view_spread` be positive, "
                "`view_background` lie in 0 to 1. Got "
                f"{self.view_clusters}, {self.view_spread}, {self.view_background}."
            )


@dataclass(frozen=True)
class PoseError:
    """Errors of the poses in the STAR file; the truth keeps the true ones."""

    rotation_error: float = 0.0
    """Standard deviation of the rotation about each axis, degrees."""
    shift_error: float = 0.0
    """Standard deviation of the shift along each axis, Å."""

    def __post_init__(self):
        if self.rotation_error < 0 or self.shift_error < 0:
            raise ValueError(
                f"Pose errors must not be negative. Got {self.rotation_error}, {self.shift_error}."
            )


@dataclass(frozen=True)
class Simulation:
    """Settings of one simulated data set."""

    output: Path
    """Folder for particles.star, particles.mrcs, truth.h5 and truth.mrc; it must not hold any."""
    source: Path | None = None
    """Structure (.pdb, .ent, .cif; .gz too) or map (.mrc, .map); none: the demonstration molecule
    with a hinge."""
    data_dir: Path | None = None
    """Folder that a relative `source`, and files that motions name, are looked for in; none: the
    environment variable CRYOJAX_HET_DATA, else the current folder."""
    count: int = 1000
    """Number of images."""
    size: int | None = None
    """Pixels per side, even; none: 64, or the map's own."""
    pixel_size: float | None = None
    """Å per pixel; none: 4, or the map's own. For a map: of its voxels."""
    snr: float = 0.1
    """Variance of the clean pixels, CTF applied, over that of the noise; inf: no noise."""
    noise: NoiseShape = field(default_factory=NoiseShape)
    """Shape of the noise spectrum."""
    shift: float = 0.05
    """Largest shift along x and y, as a fraction of the box."""
    contrast_spread: float = 0.0
    """Standard deviation of the contrast, whose mean is 1."""
    hinge: tuple[float, float] = (0.0, 0.0)
    """Range of the hinge angle of the demonstration molecule, degrees (uniform)."""
    motion: MotionSettings = field(default_factory=MotionSettings, metadata=FILE_ONLY)
    """What moves, and how its states are populated: in a TOML file, `[motion]`."""
    b_factor: float = 100.0
    """Envelope exp(-B k²/4) of all images, Å²."""
    atom_b_factor: float | None = None
    """B-factor of all atoms, Å², in place of those of the structure."""
    ctf: CtfDistribution = field(default_factory=CtfDistribution)
    """Distribution of CTF values, unless `ctf_file` is given."""
    ctf_file: Path | None = None
    """Draw CTF values from this file: cryoDRGN's ctf.pkl, or particles (.star, .cs)."""
    poses: Path | None = None
    """Take rotations and shifts from this particle file; none: drawn."""
    views: Views = field(default_factory=Views)
    """Viewing directions, unless `poses` is given."""
    pose_error: PoseError = field(default_factory=PoseError)
    """Errors of the poses that the STAR file tells."""
    seed: int = 0
    """The same seed gives the same data set."""
    batch: int = 64
    """Images rendered together; the result does not depend on it."""

    def __post_init__(self):
        for name, least in (("count", 1), ("batch", 1), ("shift", 0), ("contrast_spread", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}. Got {getattr(self, name)}.")
        if not self.snr > 0:
            raise ValueError(f"`snr` must be positive (inf: no noise). Got {self.snr}.")
