"""Distances between true maps of a simulated set beside the deviation of its structures.

    python measure.py SET [--states 8] [--by displacement structmap fsc correlation]

SET: a folder of `cryojax-het simulate` with atoms, whose states lie on a line. Prints, for each
distance: its rank correlation, correlation and slope (least squares through 0) with the root mean
square deviation of the atoms, superposed; the rank correlation of the first coordinate of classical
scaling with the number of the state; stress in two dimensions; seconds.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from cryojax_het.analysis.classical_scaling import ClassicalScaling
from cryojax_het.analysis.correlation_distance import CorrelationDistance
from cryojax_het.analysis.elastic_distance import ElasticDisplacement, ElasticDissimilarity
from cryojax_het.analysis.fsc_distance import FSCDistance
from cryojax_het.analysis.mask import spherical_mask
from cryojax_het.simulate.truth import open_truth
from cryojax_het.structures.superpose import superposition

WAYS = {
    "fsc": FSCDistance,
    "correlation": CorrelationDistance,
    "structmap": ElasticDissimilarity,
    "displacement": ElasticDisplacement,
}


def deviations(places: np.ndarray) -> np.ndarray:
    """Root mean square deviation of every two structures, Å."""
    found = np.zeros((len(places),) * 2)
    for i, one in enumerate(places):
        for j, other in enumerate(places):
            turn, shift = superposition(one, other)
            found[i, j] = np.sqrt(np.mean(np.sum((one @ turn.T + shift - other) ** 2, axis=1)))
    return found


def main() -> None:
    """A line for every distance."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("set", type=Path)
    made.add_argument("--states", type=int, default=8)
    made.add_argument("--by", nargs="+", choices=WAYS, default=list(WAYS))
    options = made.parse_args()
    truth = open_truth(options.set)
    states = np.unique(np.linspace(0, len(truth.states) - 1, options.states).round().astype(int))
    maps = np.stack([truth.map(int(state)) for state in states])
    atoms = truth.atoms()
    if atoms is None:
        raise ValueError(f"{options.set} has no atoms: simulate it from structures.")
    true = deviations(atoms.positions[states])
    upper = np.triu_indices(len(states), 1)
    mask = spherical_mask(truth.size, truth.size / 2 - 1, 1.0)
    for name in options.by:
        start = time.time()
        found = WAYS[name](mask=mask).between(maps, truth.pixel_size)
        spent = time.time() - start
        a, b = found[upper], true[upper]
        laid = ClassicalScaling().place(found, 2)
        order = abs(spearmanr(laid.coordinates[:, 0], states)[0])
        cells = [name, f"{spearmanr(a, b)[0]:.3f}", f"{np.corrcoef(a, b)[0, 1]:.3f}"]
        cells += [f"{a @ b / (b @ b):.3f}", f"{order:.3f}", f"{laid.stress:.3f}", f"{spent:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
