"""A molecule of two hinged lobes as a PDB file, and a consensus map of it, as a run leaves it."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np

from cryojax_het.analysis.fourier_resample import resample_box
from cryojax_het.commands.linear_consensus import Consensus
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.particles.mrc import MrcVolume
from cryojax_het.results.run import RunRecord, open_run
from cryojax_het.structures.atoms import Atoms
from cryojax_het.structures.frames import Frames
from cryojax_het.structures.write_models import write_pdb
from cryojax_het.volumes.gaussians import gaussian_density

SIZE, PIXEL, RESIDUES = 24, 4.0, 60


def chain() -> Atoms:
    """Sixty residues of three atoms on a path through two lobes."""
    rng = np.random.default_rng(2)
    lobe = rng.normal(size=(RESIDUES, 3)) * 6.0
    lobe[: RESIDUES // 2, 0] -= 11.0
    lobe[RESIDUES // 2 :, 0] += 11.0
    lobe[RESIDUES // 2 :, 1] += 6.0
    offsets = np.array([[0.0, 0, 0], [1.4, 0.2, 0], [0.3, 1.8, 1.1]])
    positions = (lobe[:, None] + offsets).reshape(-1, 3)
    each = lambda values: np.tile(values, RESIDUES)
    count = 3 * RESIDUES
    return Atoms(
        positions=positions - positions.mean(axis=0),
        atomic_numbers=each([7, 6, 8]),
        b_factors=np.full(count, 20.0),
        occupancies=np.ones(count),
        chains=np.full(count, "A"),
        residues=np.repeat(np.arange(1, RESIDUES + 1), 3),
        residue_names=np.full(count, "SER"),
        names=each(["N", "CA", "OG"]),
    )


def write_structure(path: Path, atoms: Atoms) -> Path:
    """As a PDB file."""
    write_pdb(path, Frames(atoms=atoms, positions=atoms.positions[None]))
    return path


def density(atoms: Atoms, blur: float, scale: float = 1.0) -> np.ndarray:
    """Electrons blurred by `blur` Å, band-limited: through finer voxels."""
    weights = scale * atoms.atomic_numbers.astype(float)
    made = gaussian_density(
        jnp.asarray(atoms.positions),
        jnp.asarray(weights),
        jnp.full(len(atoms), blur),
        FourierGrid(3 * SIZE, PIXEL / 3),
    )
    return np.asarray(resample_box(np.asarray(made, np.float64), SIZE), np.float32)


def consensus(path: Path, voxels: np.ndarray) -> Consensus:
    """A finished reconstruction whose halves are this map."""
    folder = open_run(path, {}, RunRecord(command=["test"], seed=0))
    for name in ("mean", "half1", "half2"):
        folder.write_volume(name, MrcVolume(voxels, (PIXEL, PIXEL, PIXEL)))
    fsc = np.where(np.arange(SIZE // 2 + 1) < 11, 0.99, 0.0)
    return Consensus(folder=folder, mean=voxels, mask=np.ones_like(voxels), fsc=fsc)
