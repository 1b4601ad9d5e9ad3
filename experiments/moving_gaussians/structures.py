"""Alpha carbons decoded by a run of moving beads or atoms, beside the true ones of a simulated set.

    python structures.py RUN TRUTH --source SOURCE [--topology PSF]

`SOURCE` (and its topology) is what the set was simulated from: its atoms say which rows of the
truth are alpha carbons. Prints, for the structure at rest, for each of 500 images and for the mean
latent of each state: rms distance of alpha carbons from the true ones after superposition, share of
neighbours along the chain whose distance is within 0.2 Å of the true one, pairs below 3 Å.
"""

import argparse
from pathlib import Path

import numpy as np

from cryojax_het.analysis.structure_scores import score_structures
from cryojax_het.results.mixture_store import load_mixture
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.atom_source import read_source
from cryojax_het.simulate.motion_settings import AtomSettings
from cryojax_het.simulate.truth import open_truth
from cryojax_het.structures.connectivity import connectivity
from cryojax_het.structures.covalent import trace_bonds

IMAGES = 500


def main() -> None:
    """Read, compare, print."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("run", type=Path)
    made.add_argument("truth", type=Path)
    made.add_argument("--source", type=Path, required=True)
    made.add_argument("--topology", type=Path)
    options = made.parse_args()
    run, truth = RunFolder(options.run), open_truth(options.truth)
    settings = AtomSettings(topology=options.topology)
    own = read_source(options.source, settings, Path("."), True).atoms
    states = truth.atoms().positions[:, own.names == "CA"]
    state = truth.images.state
    latents = np.array(run.latents().read("conformation"), np.float64)
    stored = load_mixture(run)
    carbons = stored.atoms.names == "CA"
    decode = lambda z: stored.frames(z).positions[:, carbons]
    bonded = connectivity(trace_bonds(stored.atoms.take(np.flatnonzero(carbons))))
    present = np.unique(state)
    centres = np.stack([latents[state == s].mean(axis=0) for s in present])
    rows = np.random.default_rng(0).permutation(len(state))[:IMAGES]
    rest = np.broadcast_to(stored.atoms.positions[carbons], states[present].shape)
    table = {
        "at rest": (rest, states[present]),
        "each image": (decode(latents[rows]), states[state[rows]]),
        "each state": (decode(centres), states[present]),
        "truth": (states[present], states[present]),
    }
    for name, (found, true) in table.items():
        scores = score_structures(found, true, bonded.bonds, bonded.near)
        print(
            f"{name}: rmsd {scores.superposed.mean():.2f} Å (quartiles "
            f"{np.quantile(scores.superposed, 0.25):.2f} to "
            f"{np.quantile(scores.superposed, 0.75):.2f}), bonds {scores.bonds_kept.mean():.3f}, "
            f"clashes {scores.clashes.mean():.2f}"
        )


if __name__ == "__main__":
    main()
