"""Settings of motions and populations, as tables of a TOML file. Nothing here needs JAX.

Angles are in degrees, lengths in Å, in the frame of the structure's file.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from ..structures.selection import Selection


@final
@dataclass(frozen=True, kw_only=True)
class Part:
    """Another structure, put beside the source as a rigid body."""

    path: Path
    """Structure file."""
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Rotation vector about the mean of its atoms, degrees."""
    centre: tuple[float, float, float] | None = None
    """Where the mean of its atoms comes to lie, Å; none: as in the file."""


@final
@dataclass(frozen=True, kw_only=True)
class AtomSettings:
    """Which atoms there are."""

    topology: Path | None = None
    """PSF or PDB file, for a source that is a trajectory."""
    hydrogens: bool = True
    """Keep hydrogen atoms."""
    superpose: bool = False
    """Bring every frame rigidly onto the first."""
    parts: tuple[Part, ...] = ()
    """Further structures beside the source."""


@final
@dataclass(frozen=True, kw_only=True)
class MorphSettings:
    """A walk through the models of the source, or of a folder or tar archive of structures."""

    name: str = "morph"
    """Of the coordinate."""
    states: int | None = None
    """Number of states, evenly from the first frame to the last; none: one per frame."""


@final
@dataclass(frozen=True, kw_only=True)
class TrajectorySettings:
    """The frames of a trajectory, as they are."""

    name: str = "frame"
    """Of the coordinate."""
    stride: int = 1
    """Every how many-th frame."""

    def __post_init__(self):
        if self.stride < 1:
            raise ValueError(f"`stride` must be at least 1. Got {self.stride}.")


@final
@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A point of an axis: the mean of some atoms, or a place."""

    select: tuple[Selection, ...] = ()
    """Its atoms."""
    point: tuple[float, float, float] | None = None
    """Or its place (x, y, z), Å."""

    def __post_init__(self):
        if bool(self.select) == (self.point is not None):
            raise ValueError("An anchor needs `select` or `point`, and not both.")


@final
@dataclass(frozen=True, kw_only=True)
class HingeSettings:
    """Atoms that turn about an axis, counter-clockwise seen from its end."""

    name: str = "hinge"
    """Of the coordinate."""
    moving: tuple[Selection, ...]
    """Atoms that turn: those of any of the selections."""
    start: Anchor
    """Where the axis starts."""
    end: Anchor
    """Where it ends."""
    range: tuple[float, float]
    """First and last angle, degrees."""
    states: int = 100
    """Number of angles, evenly spaced."""
    periodic: bool = False
    """The range is a whole turn, whose end is its start."""

    def __post_init__(self):
        low, high = self.range
        if self.periodic and abs(high - low - 360) > 1e-9:
            raise ValueError(f"A periodic hinge has a range of 360 degrees. Got {self.range}.")


@final
@dataclass(frozen=True, kw_only=True)
class ModeSettings:
    """The softest normal modes of an elastic network, each with a range of amplitudes."""

    ranges: tuple[tuple[float, float], ...]
    """Least and largest amplitude of each mode, Å of root mean square over the atoms."""
    states: tuple[int, ...]
    """Number of amplitudes of each mode, evenly spaced."""
    nodes: tuple[Selection, ...] = (Selection(names=("CA", "P")),)
    """Atoms that are the network's nodes."""
    cutoff: float = 15.0
    """Longest spring, Å."""

    def __post_init__(self):
        if not self.ranges or len(self.ranges) != len(self.states):
            raise ValueError(
                "`ranges` and `states` must have one entry per mode. "
                f"Got {len(self.ranges)} and {len(self.states)}."
            )


@final
@dataclass(frozen=True, kw_only=True)
class SubunitSettings:
    """Atoms that come and go together."""

    name: str
    select: tuple[Selection, ...]


@final
@dataclass(frozen=True, kw_only=True)
class CompositionSettings:
    """Assemblies that differ in the subunits they have."""

    name: str = "assembly"
    """Of the coordinate."""
    subunits: tuple[SubunitSettings, ...]
    """Atoms of none of them are always present."""
    assemblies: tuple[tuple[str, ...], ...]
    """Names of the subunits present, for each assembly."""

    def __post_init__(self):
        known = [subunit.name for subunit in self.subunits]
        for number, names in enumerate(self.assemblies):
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"Assembly {number + 1} has the unknown subunit `{name}`. "
                        f"Known: {', '.join(known)}."
                    )


@final
@dataclass(frozen=True, kw_only=True)
class Basin:
    """A Gaussian share of the population, in the units of each coordinate's range."""

    centre: tuple[float, ...]
    """Per coordinate."""
    width: tuple[float, ...]
    """Standard deviation per coordinate."""
    weight: float = 1.0
    """Relative to the other basins."""

    def __post_init__(self):
        if len(self.centre) != len(self.width) or not all(w > 0 for w in self.width):
            raise ValueError(
                "A basin needs one positive width per coordinate of its centre. "
                f"Got {self.centre} and {self.width}."
            )


@final
@dataclass(frozen=True, kw_only=True)
class PopulationSettings:
    """Shares of the states; with nothing given, all alike."""

    basins: tuple[Basin, ...] = ()
    """A mixture of Gaussians, or"""
    weights: tuple[float, ...] = ()
    """one weight per state (the last coordinate runs fastest), or"""
    file: Path | None = None
    """an .npy file of such weights, one axis per coordinate."""

    def __post_init__(self):
        if sum([bool(self.basins), bool(self.weights), self.file is not None]) > 1:
            raise ValueError("Give one of `basins`, `weights` and `file`, not several.")


@final
@dataclass(frozen=True, kw_only=True)
class RingSettings:
    """The molecule by formula whose arm goes all the way round, instead of the hinged one."""

    states: int = 100
    """Number of angles, evenly spaced."""


@final
@dataclass(frozen=True, kw_only=True)
class MotionSettings:
    """What moves, and how often it is where. Motions act in the order given here; their
    coordinates make a grid of states."""

    atoms: AtomSettings = field(default_factory=AtomSettings)
    """Which atoms there are."""
    morph: MorphSettings | None = None
    trajectory: TrajectorySettings | None = None
    modes: ModeSettings | None = None
    hinges: tuple[HingeSettings, ...] = ()
    composition: CompositionSettings | None = None
    ring: RingSettings | None = None
    population: PopulationSettings = field(default_factory=PopulationSettings)
    """Shares of the states."""

    def __post_init__(self):
        if self.morph is not None and self.trajectory is not None:
            raise ValueError("Give `morph` or `trajectory`, not both: each takes the frames.")

    @property
    def of_atoms(self) -> bool:
        """Whether anything here moves the atoms of a structure."""
        several = (self.morph, self.trajectory, self.modes, self.composition)
        return bool(self.hinges) or any(motion is not None for motion in several)
