"""All 48,800 atoms of a 30S ribosome: its softest modes, time and peak memory of this process.

    CRYOJAX_HET_DATA=... taskset -c 0 python ribosome.py CUTOFF

Prints a row of `table.md`: seconds of the clock and of the CPU from the positions to the modes,
largest resident memory of the whole process, and `|Hv - λv| / λ` of the worst mode, as checked here
with a Hessian built anew.
"""

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.hessian import rigid_motions, sparse_hessian
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.structures.two_level import TwoLevelDavidson

COUNT = 20


def main() -> None:
    """Solve, check, print."""
    cutoff = float(sys.argv[1])
    data = Path(os.environ["CRYOJAX_HET_DATA"])
    atoms = read_atoms(data / "ribosome" / "powerfit_ribosome.pdb.gz")
    clock, cpu = time.perf_counter(), time.process_time()
    network = UniformSprings(cutoff).network(atoms.positions)
    modes = normal_modes(network, COUNT, TwoLevelDavidson())
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    flat = modes.vectors.reshape(COUNT, -1).T
    residual = np.linalg.norm(sparse_hessian(network) @ flat - flat * modes.eigenvalues, axis=0)
    rigid = np.abs(rigid_motions(network.positions).T @ flat).max()
    print(
        f"| {cutoff:g} | {len(atoms):,} | {len(network.pairs):,} | {clock:.0f} | {cpu:.0f} | "
        f"{memory:.2f} | {(residual / modes.eigenvalues).max():.1e} | {rigid:.0e} |"
    )


if __name__ == "__main__":
    main()
