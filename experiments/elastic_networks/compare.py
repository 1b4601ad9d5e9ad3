"""Elastic networks against ProDy's, and rigid blocks against the full networks.

    CRYOJAX_HET_DATA=... python compare.py --peer PRODY_ENV/bin/python

Alpha carbons of adenylate kinase, calmodulin and HSP90, springs up to 15 Å, the 20 softest modes of
either solver; blocks of 5 consecutive residues. Prints the tables of `table.md`.
"""

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.collectivity import collectivity, cumulative_overlap, subspace_overlap
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.structures.rigid_blocks import RigidBlocks
from cryojax_het.structures.shift_invert import ShiftInvertLanczos
from cryojax_het.structures.two_level import TwoLevelDavidson

CUTOFF, COUNT, BLOCK = 15.0, 20, 5
FILES = ("adk/1ake.pdb", "adk/4ake.pdb", "calmodulin/1prw.pdb")
FILES += ("calmodulin/cam_3cln_apo_allatom.pdb", "hsp90/monoA.pdb", "hsp90/monoB.pdb")
DENSE = "| structure | rigid blocks, ours | rigid blocks, ProDy |\n| --- | --- | --- |"
AGAINST = """| structure | nodes | solver | eigenvalues | overlap, least | s, ours | s, ProDy |
| --- | --- | --- | --- | --- | --- | --- |"""
BLOCKED = """| structure | residues | blocks | λ₁ / full | λ₅ / full | all five | collective ones |
| --- | --- | --- | --- | --- | --- | --- |"""
LEAST_COLLECTIVITY = 0.15


def alpha_carbons(path: Path) -> np.ndarray:
    """Of carbon, not of calcium."""
    atoms = read_atoms(path)
    return atoms.positions[(atoms.names == "CA") & (atoms.atomic_numbers == 6)]


def asked(python: Path, structures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """ProDy's answer."""
    work = {}
    for name, positions in structures.items():
        key = name.replace("/", ":")
        work[f"{key}/positions"], work[f"{key}/cutoff"] = positions, CUTOFF
        work[f"{key}/blocks"], work[f"{key}/count"] = np.arange(len(positions)) // BLOCK, COUNT
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "work.npz", Path(folder) / "found.npz"
        np.savez(given, **work)
        subprocess.run([python, Path(__file__).with_name("peer.py"), given, found], check=True)
        return dict(np.load(found))


def row(name, positions, label, solver, theirs) -> str:
    """One solver on one structure: eigenvalues, spaces, seconds of CPU."""
    started = time.process_time()
    modes = normal_modes(UniformSprings(CUTOFF).network(positions), COUNT, solver)
    took = time.process_time() - started
    values, vectors, seconds = theirs
    worst = np.abs(modes.eigenvalues / values - 1).max()
    least = subspace_overlap(modes.vectors, vectors.reshape(COUNT, -1, 3)).min()
    count = len(positions)
    return (
        f"| {name} | {count} | {label} | {worst:.1e} | {least:.8f} | {took:.2f} | {seconds:.2f} |"
    )


def dense_row(name, positions, theirs) -> str:
    """Worst eigenvalue of both against a dense eigenproblem of blocks and Hessian written anew."""
    blocks = np.arange(len(positions)) // BLOCK
    lift = np.hstack([_motions(positions, blocks == block) for block in range(blocks[-1] + 1)])
    exact = np.linalg.eigvalsh(lift.T @ _hessian(positions) @ lift)[6 : 6 + COUNT]
    network = UniformSprings(CUTOFF).network(positions)
    ours = normal_modes(network, COUNT, RigidBlocks(blocks)).eigenvalues
    worst = [np.abs(values / exact - 1).max() for values in (ours, theirs)]
    return f"| {name} | {worst[0]:.1e} | {worst[1]:.1e} |"


def _motions(positions, mine):
    """Rigid motions `[3n, r]` of one block by singular vectors."""
    moves = np.zeros((len(positions), 3, 6))
    moves[mine, :, :3] = np.eye(3)
    for axis in range(3):
        moves[mine, :, 3 + axis] = np.cross(np.eye(3)[axis], positions[mine] - positions[mine][0])
    left, singular, _ = np.linalg.svd(moves.reshape(-1, 6), full_matrices=False)
    return left[:, singular > 1e-6 * singular[0]]


def _hessian(positions):
    """`[3n, 3n]`, pair by pair."""
    apart = positions[:, None] - positions
    square = np.sum(apart**2, axis=2)
    near = (square <= CUTOFF**2) & (square > 0)
    scaled = np.where(near, 1 / np.where(near, square, 1), 0)
    blocks = -np.einsum("ij,ijx,ijy->ixjy", scaled, apart, apart)
    each = np.arange(len(positions))
    blocks[each, :, each] -= blocks.sum(axis=2)
    return blocks.reshape(3 * len(positions), -1)


def block_row(name, positions, size) -> str:
    """Blocks against the full network: how much of the five softest modes, and of those of them
    that are collective, the 20 softest of the blocks hold."""
    network = UniformSprings(CUTOFF).network(positions)
    blocks = np.arange(len(positions)) // size
    full = normal_modes(network, 5, ShiftInvertLanczos())
    blocked = normal_modes(network, COUNT, RigidBlocks(blocks))
    ratio = blocked.eigenvalues[[0, 4]] / full.eigenvalues[[0, 4]]
    held = np.array([cumulative_overlap(blocked.vectors, mode)[-1] for mode in full.vectors])
    collective = held[collectivity(full.vectors) >= LEAST_COLLECTIVITY]
    few = f"{collective.min():.3f} ({len(collective)})" if len(collective) else "none"
    return (
        f"| {name} | {size} | {blocks[-1] + 1} | {ratio[0]:.2f} | {ratio[1]:.2f} | "
        f"{held.min():.3f} | {few} |"
    )


def main() -> None:
    """Compare and print."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("--peer", type=Path, required=True, help="interpreter of ProDy")
    options = made.parse_args()
    data = Path(os.environ["CRYOJAX_HET_DATA"])
    structures = {name: alpha_carbons(data / name) for name in FILES}
    found = asked(options.peer, structures)
    print(f"ProDy {found['version']}\n\n{AGAINST}")
    for name, positions in structures.items():
        theirs = lambda kind, name=name: [
            found[f"{name.replace('/', ':')}/{kind}/{key}"]
            for key in ("values", "vectors", "seconds")
        ]
        blocks = RigidBlocks(np.arange(len(positions)) // BLOCK)
        for label, solver, kind in (
            ("factorised", ShiftInvertLanczos(), "full"),
            ("iterative", TwoLevelDavidson(), "full"),
            ("rigid blocks", blocks, "blocks"),
        ):
            print(row(name, positions, label, solver, theirs(kind)), flush=True)
    print(f"\n{DENSE}")
    for name, positions in structures.items():
        theirs = found[f"{name.replace('/', ':')}/blocks/values"]
        print(dense_row(name, positions, theirs), flush=True)
    print(f"\n{BLOCKED}")
    for name, positions in structures.items():
        for size in (3, BLOCK, 10):
            print(block_row(name, positions, size), flush=True)


if __name__ == "__main__":
    main()
