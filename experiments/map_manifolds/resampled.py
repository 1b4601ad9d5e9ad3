"""What `map-manifold RUN --by alphacryo4d` made of a simulated set whose states lie on a line.

    python resampled.py MANIFOLD SET

Prints a row: maps; rank correlation of their distances with the difference of the mean states of
their images; of the better coordinate of the plane with that mean; of the label with the state,
over the images that have one; the share of these. Below it the summary.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from cryojax_het.simulate.truth import open_truth


def rank(a, b) -> float:
    """Absolute rank correlation."""
    return float(abs(spearmanr(a, b)[0]))


def main() -> None:
    """The row."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("manifold", type=Path)
    made.add_argument("set", type=Path)
    options = made.parse_args()
    state = np.asarray(open_truth(options.set).images.state, np.float64)
    member = np.load(options.manifold / "maps" / "member.npy")
    mean = np.array([state[np.any(member == k, axis=0)].mean() for k in range(member.max() + 1)])
    distances = np.load(options.manifold / "distances.npy")
    upper = np.triu_indices(len(mean), 1)
    apart = np.abs(mean[:, None] - mean)
    plane = np.load(options.manifold / "coordinates.npy")
    label = np.load(options.manifold / "labels.npy")
    kept = label >= 0
    record = json.loads((options.manifold / "summary.json").read_text())
    cells = [options.set.name, str(len(mean)), f"{rank(distances[upper], apart[upper]):.3f}"]
    cells += [f"{max(rank(axis, mean) for axis in plane.T):.3f}"]
    cells += [f"{rank(label[kept], state[kept]):.3f}", f"{kept.mean():.2f}"]
    print("| " + " | ".join(cells) + " |", flush=True)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
