"""The free energy of a planted double well, recovered from noisy images.

    python double_well.py FOLDER FIRST LAST     (seeds)

For each seed and signal-to-noise ratio: poses known; told with errors of 5° that are left out of
the model; told so and integrated out. Beside them the naive histogram, and the published prior.
Rows go to FOLDER/rows.jsonl; `double_well.md` holds their table. Seconds are of one CPU core.
"""

import json
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from world import ANGLE, GRID, P32, PIXEL, RADIUS, double_well, images

from cryojax_het.inference.free_energy.contrast import KnownContrast
from cryojax_het.inference.free_energy.no_u_turn import NoUTurnSampler
from cryojax_het.inference.free_energy.path_likelihood import PathLikelihood
from cryojax_het.inference.free_energy.path_models import OnPath
from cryojax_het.inference.free_energy.poses import ImageModel, KnownPose, PoseGrid
from cryojax_het.inference.free_energy.priors import PublishedPrior, RandomWalkPrior
from cryojax_het.inference.free_energy.profile import sample_profile
from cryojax_het.inference.free_energy.reweighting import hard_assignment

COUNT, ERROR, PART = 1000, np.deg2rad(5.0), 20
PRIORS = {"random walk": RandomWalkPrior(), "published": PublishedPrior()}


def likelihood(drawn, rotation, poses):
    """`[n, m]`, a part of the images at a time."""
    model = ImageModel(P32.made(), drawn.noise, KnownContrast(), GRID)
    path = PathLikelihood(model, jnp.asarray(ANGLE[:, None], jnp.float32), poses)
    batch = eqx.tree_at(lambda b: b.latents.rotation, drawn.batch, rotation)
    parts = jax.tree.map(lambda x: x.reshape(COUNT // PART, PART, *x.shape[1:]), batch)
    rows = eqx.filter_jit(lambda path, parts: jax.lax.map(path.rows, parts))(path, parts)
    return np.asarray(rows).reshape(COUNT, -1)


def conditions(seed, snr):
    """Names, with what gives the likelihood of each."""
    drawn = images(seed, COUNT, snr, ERROR)
    grid = PoseGrid.normal(ERROR, PIXEL / RADIUS, 0.0, PIXEL / 2)
    told = drawn.batch.latents.rotation
    return {
        "known": lambda: likelihood(drawn, drawn.rotation, KnownPose()),
        "5°, not modelled": lambda: likelihood(drawn, told, KnownPose()),
        "5°, integrated out": lambda: likelihood(drawn, told, grid),
    }


def errors(energy, low, high):
    """Root mean square error, and coverage, where the true free energy is within 3 of its least."""
    true = double_well()
    kept = true - true.min() < 3
    inside = (low <= true) & (true <= high)
    return float(np.sqrt(np.mean((energy - true)[kept] ** 2))), float(inside[kept].mean())


def row(ell, prior, seed):
    start = time.process_time()
    found = sample_profile(jax.random.key(seed), OnPath.of(jnp.asarray(ell), prior), SAMPLER)
    energy = -np.log(found.population.reshape(-1, len(ANGLE)))
    rmse, coverage = errors(energy.mean(axis=0), *np.quantile(energy, (0.05, 0.95), axis=0))
    numbers = {"rmse": rmse, "coverage": coverage, "r_hat": float(found.r_hat.max())}
    numbers |= {"ess": float(min(found.bulk.min(), found.tail.min()))}
    numbers |= {"divergences": found.divergences, "mean": energy.mean(axis=0).tolist()}
    return numbers | {"seconds": time.process_time() - start}


SAMPLER = NoUTurnSampler()


def main(folder, first, last):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "rows.jsonl", "a") as file:
        for seed in range(first, last + 1):
            for snr in (0.1, 0.03):
                for name, make in conditions(seed, snr).items():
                    start = time.process_time()
                    ell = make()
                    about = {"seed": seed, "snr": snr, "poses": name}
                    about |= {"likelihood_seconds": time.process_time() - start}
                    share = np.maximum(hard_assignment(ell), 0.5 / COUNT)
                    naive = errors(-np.log(share), np.inf, -np.inf)[0]
                    rows = [{"prior": "naive histogram", "rmse": naive}]
                    rows += [{"prior": k, **row(ell, p, seed)} for k, p in PRIORS.items()]
                    for numbers in rows:
                        print(json.dumps(about | numbers), file=file, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
