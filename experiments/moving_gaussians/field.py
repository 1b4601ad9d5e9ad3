"""Error of the displacement that a run of moving Gaussians found, beside the true one.

    python field.py RUN TRUTH [--state 0]

Atoms of the reference state (2,000 at most) are carried by the eight nearest Gaussians of the run,
as these are at the mean latent of the images of that state, to each of 300 images' latents; the
truth is where the atoms of the image's own state are. Root mean squares over atoms and images, Å,
of the displacement (what an error of "nothing moves" is) and of the error: of all atoms, and of
those that any state moves by more than a pixel; and once more for the mean latent of each state.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from cryojax_het.results.mixture_store import load_mixture
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.truth import open_truth
from cryojax_het.volumes.carried import carried
from cryojax_het.volumes.relative import Relative

ATOMS, IMAGES = 2000, 300


def rms(away: np.ndarray) -> float:
    """Over atoms and images."""
    return float(np.sqrt(np.mean(np.sum(away**2, axis=-1))))


def main() -> None:
    """Read, carry, print."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("run", type=Path)
    made.add_argument("truth", type=Path)
    made.add_argument("--state", type=int, default=0)
    options = made.parse_args()
    run, truth = RunFolder(options.run), open_truth(options.truth)
    states, state = truth.atoms().positions, truth.images.state
    rng = np.random.default_rng(0)
    atoms = rng.permutation(states.shape[1])[:ATOMS]
    states = states[:, atoms]
    latents = np.array(run.latents().read("conformation"), np.float32)
    mean = lambda s: latents[state == s].mean(axis=0)
    volume = load_mixture(run).volume
    origin = jnp.asarray(mean(options.state))
    places = np.asarray(volume.at(origin).positions, np.float64)
    field = Relative(volume.displacement, volume.reference.positions, origin)
    reach = float(np.mean(KDTree(places).query(places, 9)[0][:, 1:]))
    here = states[options.state].astype(np.float64)
    moved = carried(field, places, here, reach)
    change = jax.jit(jax.vmap(lambda z: moved.change(z, jnp.asarray(here)).displacement))
    moving = np.linalg.norm(states - here, axis=-1).max(axis=0) > truth.pixel_size
    rows = rng.permutation(len(state))[:IMAGES]
    present = np.unique(state)
    cases = {
        "each image": (latents[rows], state[rows]),
        "each state": (np.stack([mean(s) for s in present]), present),
    }
    for name, (z, own) in cases.items():
        true = states[own] - here
        error = np.asarray(change(jnp.asarray(z))) - true
        for part, chosen in (("all", slice(None)), ("moving", moving)):
            print(
                f"{name}, {part}: displacement {rms(true[:, chosen]):.2f} Å, "
                f"error {rms(error[:, chosen]):.2f} Å"
            )


if __name__ == "__main__":
    main()
