"""Modes of a map's pseudo-atoms against those of the structure that the map was made of.

    CRYOJAX_HET_DATA=... python pseudo.py

Open adenylate kinase, blurred to 8 Å at 2 Å a voxel, fitted by pseudo-atoms of 2 Å to a residual of
5 %; springs at the cutoff that leaves six motions free. Modes are carried to the alpha carbons by
Gaussian means of 3 Å, made orthonormal, and compared with the alpha carbons' own (15 Å) and with
the change to the closed structure. Prints the figures of `table.md`.
"""

import os
from pathlib import Path

import numpy as np

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.collectivity import cumulative_overlap
from cryojax_het.structures.cutoff import holding_network
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.structures.pseudo_atoms import Placement, pseudo_atoms
from cryojax_het.structures.shift_invert import ShiftInvertLanczos
from cryojax_het.structures.superpose import superposed

SIZE, PIXEL, BLUR, CARRY, COUNT = 48, 2.0, 1.8, 3.0, 20


def density(positions, weights) -> np.ndarray:
    """Voxels `[z, y, x]` of the blurred atoms."""
    r = (np.arange(SIZE) - SIZE // 2) * PIXEL
    profile = lambda c: np.exp(-((r[:, None] - c) ** 2) / (2 * BLUR**2)) / np.sqrt(2 * np.pi) / BLUR
    x, y, z = positions.T
    planes = np.einsum("zj,yj->zyj", profile(z) * weights, profile(y))
    return planes @ profile(x).T


def carried(model, modes, nodes) -> np.ndarray:
    """Orthonormal modes `[k, n, 3]` at `nodes`."""
    apart = np.sum((nodes[:, None] - model.positions) ** 2, axis=2)
    share = model.weights * np.exp(-apart / (2 * CARRY**2))
    share /= share.sum(axis=1, keepdims=True)
    moved = np.einsum("na,kax->knx", share, modes.vectors).reshape(COUNT, -1)
    return np.linalg.qr(moved.T)[0].T.reshape(COUNT, -1, 3)


def main() -> None:
    """Fit, solve, compare, print."""
    data = Path(os.environ["CRYOJAX_HET_DATA"]) / "adk"
    opened, closed = (read_atoms(data / f"{name}.pdb").centred() for name in ("4ake", "1ake"))
    voxels = density(opened.positions, opened.atomic_numbers * opened.occupancies)
    model = pseudo_atoms(voxels, PIXEL, Placement(2.0))
    network = holding_network(model.positions, 6.0)
    reach = np.linalg.norm(np.diff(network.positions[network.pairs], axis=1), axis=2).max()
    print(f"{len(model.weights)} pseudo-atoms, residual {model.residual:.3f}, cutoff {reach:.1f} Å")
    theirs = normal_modes(network, COUNT, ShiftInvertLanczos())
    nodes, ends = (atoms.positions[atoms.names == "CA"] for atoms in (opened, closed))
    own = normal_modes(UniformSprings(15.0).network(nodes), COUNT, ShiftInvertLanczos())
    modes = carried(model, theirs, nodes)
    held = [cumulative_overlap(modes, mode)[-1] for mode in own.vectors[:5]]
    print("modes 1 to 5 of alpha carbons in 20 of pseudo-atoms:", np.round(held, 3))
    change = superposed(ends[None], nodes)[0] - nodes
    for label, vectors in (("alpha carbons", own.vectors), ("pseudo-atoms", modes)):
        print(f"change in 1, 3, 10, 20 modes of {label}:", end=" ")
        print(np.round(cumulative_overlap(vectors, change)[[0, 2, 9, 19]], 3))


if __name__ == "__main__":
    main()
