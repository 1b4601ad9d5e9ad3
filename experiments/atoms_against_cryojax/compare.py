"""Our Fourier-exact atoms against cryojax's atom projections: same atoms, tables and B-factors.

    CRYOJAX_HET_DATA=... python compare.py --peer CRYOJAX_ENV/bin/python

Adenylate kinase (1AKE), eight random rotations, box 64 at 1.75 Å, no CTF, float64, frequencies
inside the Nyquist circle. Prints the table of `table.md`.
"""

import argparse
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.rotation import random
from cryojax_het.simulate.potential import atomic_potential
from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.scattering import electron_factors

SIZE, PIXEL_SIZE, B_FACTOR, VIEWS = 64, 1.75, 40.0, 8
ELEMENTS = np.array([1, 6, 7, 8, 11, 12, 15, 16, 20, 26, 30])
HEAD = "| cryojax 0.6.0 | error, all | error, below half Nyquist | 1 - correlation |"


def transforms(atoms, rotations, grid):
    """Ours, `[rotation, y, x]`."""
    ready = atomic_potential(atoms).prepare(grid)
    view = jax.jit(lambda turn: ready.slice(jnp.zeros(0), turn, grid))
    return np.stack([np.asarray(view(turn)) for turn in rotations])


def compared(theirs, ours, grid) -> list[float]:
    """Relative L2 inside Nyquist, below half of it, and 1 - correlation of the whole."""
    half = float(grid.pixel_size * 2) * np.sqrt(np.asarray(grid.k_squared()))
    weights = np.asarray(grid.weights()) * np.asarray(grid.inside())
    norm = lambda x, part: np.sqrt(np.sum(weights * part * np.abs(x) ** 2))
    errors = [norm(theirs - ours, part) / norm(ours, part) for part in (1.0, half < 0.5)]
    product = np.sum(weights * (theirs * ours.conj()).real)
    return [*errors, 1 - product / (norm(ours, 1.0) * norm(theirs, 1.0))]


def sinc(grid):
    """What averaging over a pixel does to a transform."""
    return np.sinc(np.asarray(grid.kx * grid.pixel_size)) * np.sinc(
        np.asarray(grid.ky * grid.pixel_size)[:, None]
    )


def asked(folder: Path, python: Path, atoms, rotations):
    """cryojax's answer."""
    numbers = atoms.atomic_numbers
    np.savez(
        folder / "work.npz",
        positions=atoms.positions,
        numbers=numbers,
        elements=ELEMENTS,
        b_factors=atoms.b_factors,
        uniform_b_factor=B_FACTOR,
        rotations=np.asarray(rotations),
        size=SIZE,
        pixel_size=PIXEL_SIZE,
    )
    worker = Path(__file__).with_name("worker.py")
    subprocess.run([python, worker, folder / "work.npz", folder / "found.npz"], check=True)
    return dict(np.load(folder / "found.npz"))


def main() -> None:
    """Compare and print."""
    jax.config.update("jax_enable_x64", True)
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--peer", type=Path, required=True, help="interpreter of cryojax")
    options = made.parse_args()
    atoms = read_atoms(Path(os.environ["CRYOJAX_HET_DATA"]) / "adk" / "1ake.pdb").centred()
    # cryojax's volumes of tabulated atoms have no occupancies.
    atoms = replace(atoms, occupancies=np.ones(len(atoms)))
    grid = FourierGrid(SIZE, PIXEL_SIZE)
    rotations = [random(key) for key in jax.random.split(jax.random.key(0), VIEWS)]
    with tempfile.TemporaryDirectory() as folder:
        found = asked(Path(folder), options.peer, atoms, rotations)
    table = electron_factors(ELEMENTS)
    difference = max(np.abs(found.pop(k) - getattr(table, k)).max() for k in ("a", "b"))
    print(f"{len(atoms)} atoms; largest difference of the scattering tables: {difference:.1e}\n")
    common = transforms(atoms.with_b_factor(B_FACTOR), rotations, grid)
    own = transforms(atoms, rotations, grid)
    print(HEAD, "| --- " * 4 + "|", sep="\n")
    for name, theirs in found.items():
        ours = own if "own B" in name else common
        ours = ours * sinc(grid) if "average" in name else ours
        cells = (f"{value:.1e}" for value in compared(theirs, ours, grid))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
