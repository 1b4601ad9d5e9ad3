"""The motion that settings ask for, and the axes of its grid of states."""

import jax.numpy as jnp
import numpy as np

from ...structures.atoms import Atoms
from ...structures.frames import Frames
from ...structures.mode_solver import suited_solver
from ...structures.modes import normal_modes
from ...structures.network import UniformSprings
from ...structures.selection import select
from ..motion_settings import (
    Anchor,
    CompositionSettings,
    HingeSettings,
    ModeSettings,
    MorphSettings,
    MotionSettings,
    TrajectorySettings,
)
from ..populations import Axis, even_axis
from ..states import Coordinate
from .base import AbstractMotion, Conformer
from .composed import Composed
from .composition import composition
from .hinge import AbstractAnchor, Centroid, FixedPoint, hinge
from .morph import morph
from .normal_modes import mode_motion
from .trajectory import trajectory

Built = tuple[AbstractMotion, tuple[Axis, ...]]


def assembled_motion(
    settings: MotionSettings, frames: Frames, centre: np.ndarray
) -> tuple[Composed, tuple[Axis, ...]]:
    """All motions in their order, of atoms that were moved by `-centre`, and one axis per
    coordinate."""
    built: list[Built] = []
    if settings.morph is not None:
        built.append(_morph(settings.morph, frames))
    if settings.trajectory is not None:
        built.append(_trajectory(settings.trajectory, frames))
    if settings.modes is not None:
        built.append(_modes(settings.modes, frames.atoms))
    for one in settings.hinges:
        built.append(_hinge(one, frames.atoms, centre))
    if settings.composition is not None:
        built.append(_composition(settings.composition, frames.atoms))
    axes = tuple(axis for _, mine in built for axis in mine)
    return Composed(tuple(motion for motion, _ in built)), axes


def _morph(settings: MorphSettings, frames: Frames) -> Built:
    motion = morph(frames.positions, settings.name)
    count = len(frames) if settings.states is None else settings.states
    return motion, (even_axis(motion.coordinates[0], (0.0, 1.0), count),)


def _trajectory(settings: TrajectorySettings, frames: Frames) -> Built:
    motion = trajectory(frames.positions, settings.name)
    numbers = np.arange(0.0, len(frames), settings.stride)
    return motion, (Axis(motion.coordinates[0], numbers),)


def _modes(settings: ModeSettings, atoms: Atoms) -> Built:
    nodes = np.flatnonzero(select(atoms, settings.nodes))
    network = UniformSprings(settings.cutoff).network(atoms.positions[nodes])
    modes = normal_modes(network, len(settings.ranges), suited_solver(len(nodes)))
    motion = mode_motion(modes, atoms, nodes)
    pairs = zip(motion.coordinates, settings.ranges, settings.states, strict=True)
    return motion, tuple(even_axis(*row) for row in pairs)


def _hinge(settings: HingeSettings, atoms: Atoms, centre: np.ndarray) -> Built:
    period = 2 * np.pi if settings.periodic else None
    coordinate = Coordinate(name=settings.name, period=period)
    ends = (_anchor(settings.start, atoms, centre), _anchor(settings.end, atoms, centre))
    _check_axis(settings, ends, atoms.positions - centre)
    motion = hinge(select(atoms, settings.moving), ends, coordinate)
    return motion, (even_axis(coordinate, settings.range, settings.states, np.pi / 180),)


def _check_axis(
    settings: HingeSettings, ends: tuple[AbstractAnchor, AbstractAnchor], positions: np.ndarray
) -> None:
    rest = Conformer(jnp.asarray(positions), jnp.ones(len(positions)))
    length = float(jnp.linalg.norm(ends[1].point(rest) - ends[0].point(rest)))
    if length < 0.1:
        raise ValueError(
            f"The axis of `{settings.name}` starts and ends at the same point: choose two apart."
        )


def _anchor(settings: Anchor, atoms: Atoms, centre: np.ndarray) -> AbstractAnchor:
    if settings.point is not None:
        return FixedPoint(jnp.asarray(np.array(settings.point) - centre, jnp.result_type(float)))
    return Centroid(jnp.asarray(np.flatnonzero(select(atoms, settings.select))))


def _composition(settings: CompositionSettings, atoms: Atoms) -> Built:
    masks = [select(atoms, subunit.select) for subunit in settings.subunits]
    names = [subunit.name for subunit in settings.subunits]
    present = [[name in assembly for name in names] for assembly in settings.assemblies]
    motion = composition(masks, np.array(present, np.float64), settings.name)
    return motion, (Axis(motion.coordinates[0], np.arange(float(len(present)))),)
