"""What is simulated: atoms of a structure, voxels of a map, or a molecule by formula."""

import os
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from ..imaging.grid import FourierGrid
from ..particles.mrc import cubic_voxel_size, read_volume
from ..structures.atoms import read_atoms
from ..volumes.gaussians import Gaussians
from ..volumes.kernel import cubic
from ..volumes.voxels import Voxels
from .atom_source import STRUCTURES, is_structure, read_source
from .base import AbstractMolecule
from .images import Scene
from .molecule import AbstractFormula, HingedMolecule, RingMolecule
from .motion_settings import MotionSettings
from .motions.assembled import assembled_motion
from .motions.base import Conformer
from .moving_atoms import moving_atoms
from .populations import Axis, even_axis, grid_states
from .potential import AtomicPotential, atomic_potential
from .settings import Simulation
from .states import Coordinate, States, one_state

MAPS = (".mrc", ".map", ".ccp4")
_DEMO_STATES = 100


class Specimen(NamedTuple):
    """What is simulated: its volume on a grid, and the states that it takes."""

    scene: Scene
    states: States


def make_specimen(settings: Simulation) -> Specimen:
    """The molecule and the states that the settings ask for.

    Relative names are looked for in `settings.data_dir`, without it in the folder that the
    environment variable CRYOJAX_HET_DATA names. Raises `FileNotFoundError`; `ValueError` where the
    source is of no known kind, a selection is empty, populations do not fit, or the box is too
    small for any state.
    """
    folder = data_folder(settings)
    path = None if settings.source is None else folder / settings.source
    if path is not None and path.suffix.lower() in MAPS:
        _check_still(settings.motion, "A map")
        return Specimen(map_scene(path, settings.size, settings.pixel_size), one_state())
    spacing = 4.0 if settings.pixel_size is None else settings.pixel_size
    size = 64 if settings.size is None else settings.size
    grid = FourierGrid(size, jnp.asarray(spacing, jnp.result_type(float)))
    if path is None:
        return _by_formula(settings, grid, folder)
    if is_structure(path):
        return _of_atoms(path, settings, grid, folder)
    known = ", ".join(STRUCTURES + MAPS)
    raise ValueError(f"{path} is neither a structure nor a map: expected {known}.")


def data_folder(settings: Simulation) -> Path:
    """Where relative names of the settings are."""
    if settings.data_dir is not None:
        return Path(settings.data_dir)
    return Path(os.environ.get("CRYOJAX_HET_DATA", "."))


def demo_scene(grid: FourierGrid) -> Scene:
    """The hinged molecule. Raises `ValueError` where the box is too small for it."""
    return _formula_scene(HingedMolecule(), np.array([-np.pi / 2, 0.0, np.pi / 2]), grid)


def structure_scene(path: Path, grid: FourierGrid, b_factor: float | None = None) -> Scene:
    """Atoms of a PDB or mmCIF file, centred, projected exactly; `b_factor` (Å²) replaces those of
    the file. Raises `ValueError` where the box is too small, and as `read_atoms` does."""
    atoms = read_atoms(path).centred()
    if b_factor is not None:
        atoms = atoms.with_b_factor(b_factor)
    _check_inside(atoms.positions, grid, str(path))
    return Scene(atomic_potential(atoms), grid)


def map_scene(path: Path, size: int | None, pixel_size: float | None) -> Scene:
    """Voxels of a map, interpolated by the cubic kernel: projections within 0.1 %, not exact.

    A map that is not an even cube is padded to one. `size` below the map's crops frequencies over
    the same box; `pixel_size` (Å) is that of the map's own voxels, where its header has none.
    """
    volume = read_volume(path)
    spacing = cubic_voxel_size(volume, path) if pixel_size is None else pixel_size
    voxels = _even_cube(volume.data)
    full = FourierGrid(len(voxels), jnp.asarray(spacing, jnp.result_type(float)))
    grid = full if size is None else full.crop(size)
    values = jnp.asarray(voxels, full.pixel_size.dtype)
    return Scene(Voxels(voxels=values, spacing=full.pixel_size, kernel=cubic()), grid)


def prepared(scene: Scene) -> Scene:
    """The same scene with its volume's tables made for its grid."""
    return Scene(scene.volume.prepare(scene.grid), scene.grid)


def is_exact(scene: Scene) -> bool:
    """Whether projections are exact, not interpolated from voxels."""
    return isinstance(scene.volume, AbstractMolecule | AtomicPotential | Gaussians)


def _of_atoms(path: Path, settings: Simulation, grid: FourierGrid, folder: Path) -> Specimen:
    motion = settings.motion
    if motion.ring is not None:
        raise ValueError(f"The ring is a molecule of its own: leave out `source`, here {path}.")
    walks = motion.morph is not None or motion.trajectory is not None
    frames = read_source(path, motion.atoms, folder, walks)
    # One translation for all states: a molecule that were centred in each would move less.
    centre = frames.positions[0].mean(axis=0)
    moves, axes = assembled_motion(motion, frames, centre)
    atoms = frames.atoms.at(frames.positions[0] - centre)
    if settings.atom_b_factor is not None:
        atoms = atoms.with_b_factor(settings.atom_b_factor)
    scene = Scene(moving_atoms(atoms, moves), grid)
    specimen = Specimen(scene, grid_states(axes, motion.population, folder))
    _check_states(specimen, str(path))
    return specimen


def _by_formula(settings: Simulation, grid: FourierGrid, folder: Path) -> Specimen:
    _check_still(settings.motion, "A molecule by formula")
    ring = settings.motion.ring
    if ring is not None:
        circle = Coordinate(name="ring", period=2 * np.pi)
        axis = even_axis(circle, (0.0, 360.0), ring.states, np.pi / 180)
        volume: AbstractFormula = RingMolecule()
    else:
        low, high = settings.hinge
        count = _DEMO_STATES if high > low else 1
        axis = even_axis(Coordinate(name="hinge"), (low, high), count, np.pi / 180)
        volume = HingedMolecule()
    scene = _formula_scene(volume, _own_units(axis), grid)
    return Specimen(scene, grid_states((axis,), settings.motion.population, folder))


def _own_units(axis: Axis) -> np.ndarray:
    return axis.unit * axis.values


def _formula_scene(volume: AbstractFormula, angles: np.ndarray, grid: FourierGrid) -> Scene:
    for angle in angles:
        positions = volume.positions(jnp.asarray([angle]))
        _check_inside(np.asarray(positions), grid, "The demonstration molecule")
    return Scene(volume, grid)


def _check_still(motion: MotionSettings, name: str) -> None:
    if motion.of_atoms:
        raise ValueError(f"{name} has no atoms that `motion` could move: give a structure.")


def _even_cube(data: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "n n n"]:
    """Padded with zeros so that voxel `n//2` of each axis stays the centre."""
    size = max(data.shape) + max(data.shape) % 2
    before = [size // 2 - n // 2 for n in data.shape]
    after = [size - n - b for n, b in zip(data.shape, before, strict=True)]
    return np.pad(data, list(zip(before, after, strict=True)))


def _check_states(specimen: Specimen, name: str) -> None:
    """That the atoms present are inside the box in every state."""
    scene, volume = specimen.scene, specimen.scene.volume
    if not isinstance(volume, AbstractMolecule):
        return
    for row in specimen.states.conformation:
        positions, occupancies = _conformer(volume, jnp.asarray(row, jnp.result_type(float)))
        present = np.asarray(occupancies) > 0
        _check_inside(np.asarray(positions)[present], scene.grid, f"{name} in the state {row}")


@eqx.filter_jit
def _conformer(volume: AbstractMolecule, latent: Float[Array, " d"]) -> Conformer:
    return volume.conformer(latent)


def _check_inside(positions: np.ndarray, grid: FourierGrid, name: str) -> None:
    radius, half = float(np.linalg.norm(positions, axis=1).max()), float(grid.length) / 2
    if radius > half:
        raise ValueError(
            f"{name} reaches {radius:.0f} Å from its centre, the box ends at {half:.0f} Å. Use "
            f"at least {2 * int(np.ceil(radius / float(grid.pixel_size)))} pixels."
        )
