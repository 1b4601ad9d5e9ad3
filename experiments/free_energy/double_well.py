"""The free energy of a planted double well, recovered from noisy images.

    python double_well.py FOLDER FIRST LAST     (seeds; then the table of all in the folder)
    python double_well.py FOLDER                (the table alone)

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


def scores(energy, low, high):
    """Of `-log p` and its band: the root mean square error and the coverage where the true one is
    within 3 of its least; and the mean error at the two ends, 3.6 above it."""
    true = double_well()
    kept = true - true.min() < 3
    inside = (low <= true) & (true <= high)
    rmse = float(np.sqrt(np.mean((energy - true)[kept] ** 2)))
    ends = float(np.mean((energy - true)[[0, -1]]))
    return {"rmse": rmse, "coverage": float(inside[kept].mean()), "ends": ends}


def row(ell, prior, seed):
    start = time.process_time()
    found = sample_profile(jax.random.key(seed), OnPath.of(jnp.asarray(ell), prior), SAMPLER)
    energy = -np.log(found.population.reshape(-1, len(ANGLE)))
    numbers = scores(energy.mean(axis=0), *np.quantile(energy, (0.05, 0.95), axis=0))
    numbers |= {"r_hat": float(found.r_hat.max()), "divergences": found.divergences}
    numbers |= {"ess": float(min(found.bulk.min(), found.tail.min()))}
    numbers |= {"mean": energy.mean(axis=0).tolist()}
    return numbers | {"seconds": time.process_time() - start}


def naive(ell):
    """The histogram of hard assignment, half an image in an empty node."""
    energy = -np.log(np.maximum(hard_assignment(ell), 0.5 / COUNT))
    return scores(energy, energy, energy) | {"mean": energy.tolist()}


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
                    rows = [{"prior": "naive histogram", **naive(ell)}]
                    rows += [{"prior": k, **row(ell, p, seed)} for k, p in PRIORS.items()]
                    for numbers in rows:
                        print(json.dumps(about | numbers), file=file, flush=True)


def table(folder):
    """Means over seeds."""
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    print("| SNR | poses | estimate | RMSE | worst | coverage | ends | worst R-hat | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for key in dict.fromkeys((r["snr"], r["poses"], r["prior"]) for r in rows):
        some = [r for r in rows if (r["snr"], r["poses"], r["prior"]) == key]
        mean = lambda name, some=some: np.mean([r[name] for r in some])
        errors = [r["rmse"] for r in some]
        cells = [f"{np.mean(errors):.2f}", f"{max(errors):.2f}"]
        sampled = "r_hat" in some[0]
        cells.append(f"{mean('coverage'):.2f}" if sampled else "")
        cells.append(f"{mean('ends'):+.1f}")
        cells.append(f"{max(r['r_hat'] for r in some):.3f}" if sampled else "")
        cells.append(f"{mean('seconds'):.0f}" if sampled else f"{mean('likelihood_seconds'):.0f}")
        print("|", " | ".join([*map(str, key), *cells]), "|")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    table(Path(sys.argv[1]))
