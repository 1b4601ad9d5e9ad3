"""Decoded structures and amplitudes of a fit of normal modes beside the truth of a simulated set.

    python structures.py RUN TRUTH --source SOURCE [--topology PSF]

`SOURCE` (and its topology) is what the set was simulated from: its atoms say which rows of the
truth are alpha carbons. Prints, averaged over images or states:

- rms distance of alpha carbons from the true ones after superposition: of the model at rest, of
  each image's decoded structure, of the structure at the mean latent of the images of each state,
  and of the nearest structure that the modes can make;
- z-scores of well-determined amplitudes (posterior width below half the prior's): the amplitudes of
  that nearest structure less those inferred, over the width.

A run of pseudo-atoms has no alpha carbons: its displacements are carried to those of the true state
that the mean latent is nearest to, by Gaussian means of 3 Å, relative to that state.
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.analysis.structure_scores import rmsd_superposed
from cryojax_het.results.mixture_store import StoredMixture, load_mixture
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.atom_source import read_source
from cryojax_het.simulate.motion_settings import AtomSettings
from cryojax_het.simulate.truth import open_truth
from cryojax_het.structures.superpose import superposition

CARRY, ROUNDS = 3.0, 30


def true_carbons(truth, source: Path, topology: Path | None) -> np.ndarray:
    """Alpha carbons of every state `[s, r, 3]`."""
    settings = AtomSettings(topology=topology)
    atoms = read_source(source, settings, Path("."), True).atoms
    return truth.atoms().positions[:, atoms.names == "CA"]


def decoder(stored: StoredMixture, states: np.ndarray, rest: int) -> Any:
    """From latents to alpha carbons, linear, atoms shifted with their beads and not turned:
    positions at rest `[r, 3]` and modes `[d, r, 3]`."""
    volume, still = stored.volume, stored.atoms.positions
    moved = lambda z: volume.displacement.change(z, volume.reference.positions).displacement
    beads = jax.vmap(moved)(jnp.eye(volume.latent_size, dtype=volume.reference.positions.dtype))
    modes = np.asarray(beads, np.float64)[:, stored.follows]
    carbons = stored.atoms.names == "CA"
    if carbons.sum() == states.shape[1]:
        return still[carbons], modes[:, carbons]
    nodes = states[rest]
    apart = np.sum((nodes[:, None] - still) ** 2, axis=2)
    share = np.exp(-(apart - apart.min(axis=1, keepdims=True)) / (2 * CARRY**2))
    share /= share.sum(axis=1, keepdims=True)
    return nodes, np.einsum("na,kax->knx", share, modes)


def nearest(still, modes, target) -> np.ndarray:
    """Latent of the structure of least rms distance from `target` after superposition."""
    flat = modes.reshape(len(modes), -1)
    latent = np.zeros(len(modes))
    for _ in range(ROUNDS):
        here = still + np.tensordot(latent, modes, axes=1)
        rotation, shift = superposition(target, here)
        moved = target @ rotation.T + shift
        latent = np.linalg.lstsq(flat.T, (moved - still).ravel(), rcond=None)[0]
    return latent


def main() -> None:
    """Read, compare, print."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("run", type=Path)
    made.add_argument("truth", type=Path)
    made.add_argument("--source", type=Path, required=True)
    made.add_argument("--topology", type=Path)
    options = made.parse_args()
    run, truth = RunFolder(options.run), open_truth(options.truth)
    states, state = true_carbons(truth, options.source, options.topology), truth.images.state
    latents = np.array(run.latents().read("conformation"), np.float64)
    covariance = np.array(run.latents().read("conformation_covariance"), np.float64)
    width = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    present = np.unique(state)
    centres = np.stack([latents[state == s].mean(axis=0) for s in present])
    stored = load_mixture(run)
    rest = present[np.argmin(np.linalg.norm(centres - latents.mean(axis=0), axis=1))]
    still, modes = decoder(stored, states, int(rest))
    aligned = len(still) == (stored.atoms.names == "CA").sum()
    base = np.zeros(latents.shape[1]) if aligned else centres[list(present).index(rest)]
    decode = lambda z: still + np.tensordot(z - base, modes, axes=1)
    best = np.stack([nearest(still, modes, states[s]) for s in present])
    table = {
        "at rest": rmsd_superposed(np.broadcast_to(still, states[state].shape), states[state]),
        "each image": rmsd_superposed(decode(latents), states[state]),
        "each state": rmsd_superposed(decode(centres), states[present]),
        "nearest of the modes": rmsd_superposed(decode(best + base), states[present]),
    }
    for name, values in table.items():
        print(f"{name}: mean {values.mean():.2f} Å, median {np.median(values):.2f} Å")
    places = best[np.searchsorted(present, state)] + base
    certain = width < 0.5
    z = ((places - latents) / width)[certain]
    print(f"well-determined: {certain.mean():.3f} of amplitudes, by mode {certain.mean(axis=0)}")
    if len(z):
        print(f"z-scores: mean {z.mean():.2f}, standard deviation {z.std():.2f}")
    for k in range(latents.shape[1]):
        found = np.corrcoef(latents[:, k], places[:, k])[0, 1]
        spread = f"{latents[:, k].std():.2f} of {places[:, k].std():.2f}"
        own = f"width {width[:, k].mean():.2f}"
        print(f"mode {k + 1}: correlation {found:.2f}, spread {spread}, {own}")


if __name__ == "__main__":
    main()
