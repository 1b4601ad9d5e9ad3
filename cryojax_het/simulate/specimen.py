"""What is simulated: atoms of a structure, voxels of a map, or the demonstration molecule."""

from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from ..imaging.grid import FourierGrid
from ..particles.mrc import cubic_voxel_size, read_volume
from ..structures.atoms import read_atoms
from ..volumes.gaussians import Gaussians
from ..volumes.kernel import cubic
from ..volumes.voxels import Voxels
from .images import Scene
from .molecule import HingedMolecule
from .potential import AtomicPotential, atomic_potential
from .settings import Simulation
from .states import Coordinate, States, one_state

STRUCTURES = (".pdb", ".ent", ".cif", ".mmcif")
MAPS = (".mrc", ".map", ".ccp4")


def demo_scene(grid: FourierGrid) -> Scene:
    """The hinged molecule. Raises `ValueError` where the box is too small for it."""
    for angle in (-np.pi / 2, 0.0, np.pi / 2):
        rest = HingedMolecule().at(jnp.asarray([angle]))
        _check_inside(np.asarray(rest.positions), grid, "The demonstration molecule")
    return Scene(HingedMolecule(), grid)


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
    return isinstance(scene.volume, AtomicPotential | Gaussians | HingedMolecule)


def _even_cube(data: Float32[np.ndarray, "z y x"]) -> Float32[np.ndarray, "n n n"]:
    """Padded with zeros so that voxel `n//2` of each axis stays the centre."""
    size = max(data.shape) + max(data.shape) % 2
    before = [size // 2 - n // 2 for n in data.shape]
    after = [size - n - b for n, b in zip(data.shape, before, strict=True)]
    return np.pad(data, list(zip(before, after, strict=True)))


def _check_inside(positions: np.ndarray, grid: FourierGrid, name: str) -> None:
    radius, half = float(np.linalg.norm(positions, axis=1).max()), float(grid.length) / 2
    if radius > half:
        raise ValueError(
            f"{name} reaches {radius:.0f} Å from its centre, the box ends at {half:.0f} Å. Use "
            f"at least {2 * int(np.ceil(radius / float(grid.pixel_size)))} pixels."
        )


class Specimen(NamedTuple):
    """What is simulated: its volume on a grid, and the states that it takes."""

    scene: Scene
    states: States


def make_specimen(settings: Simulation) -> Specimen:
    """INTERIM (lead): helper A replaces this. What the settings ask for."""
    path = settings.source
    ending = None if path is None else _ending(path)
    if path is not None and ending in MAPS:
        return Specimen(map_scene(path, settings.size, settings.pixel_size), one_state())
    spacing = 4.0 if settings.pixel_size is None else settings.pixel_size
    size = 64 if settings.size is None else settings.size
    grid = FourierGrid(size, jnp.asarray(spacing, jnp.result_type(float)))
    if path is None:
        low, high = np.deg2rad(settings.hinge)
        angles = np.linspace(low, high, 100 if high > low else 1)
        share = np.full(len(angles), 1 / len(angles))
        states = States(
            coordinates=(Coordinate(name="hinge"),), conformation=angles[:, None], population=share
        )
        return Specimen(demo_scene(grid), states)
    if ending in STRUCTURES:
        return Specimen(structure_scene(path, grid, settings.atom_b_factor), one_state())
    known = ", ".join(STRUCTURES + MAPS)
    raise ValueError(f"{path} is neither a structure nor a map: expected {known}.")


def _ending(path: Path) -> str:
    path = Path(path)
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()
