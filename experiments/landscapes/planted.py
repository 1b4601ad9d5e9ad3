"""A planted landscape, two wells and a pass, over many seeds: what bands of 90 % cover.

    python planted.py SEEDS [--images 3000] [--noise 0.1] [--nodes 32] [--resamples 30]

Molecules are drawn of F(x, y), two wells joined by a bent valley, whose wells and pass are known in
closed form; each image has a normal posterior of a width of its own under a standard normal prior,
the mean variance of its noise being `--noise`. The free energy by deconvolution and by histogram,
the path between the wells by the string method, as `cryojax-het analyse` makes them. A line per
seed as it is done, then the table: RMSE of barrier and difference, share of seeds whose band holds
the truth, distance of wells and pass from theirs.
"""

import argparse
import time

import numpy as np

from cryojax_het.analysis.deconvolution import Deconvolution
from cryojax_het.analysis.density import LatentPosteriors, histogram_density, latent_grid
from cryojax_het.analysis.energy_path import EnergyPath, SingleWell, StringMethod

HEIGHT, TILT, PLACE, BEND, WIDTH = 3.0, 1.0, 1.1, 0.8, 0.3
WELLS = np.array([[-PLACE, 0.0], [PLACE, 0.0]])
_U = 3 * TILT / (16 * HEIGHT)  # x / PLACE of the pass: (u² - 1)(4 H u - 3 T / 4) = 0
PASS = np.array([PLACE * _U, BEND * (1 - _U**2)])


def floor(u):
    """F along the valley's floor, u = x / PLACE."""
    return HEIGHT * (u**2 - 1) ** 2 + TILT * (3 * u - u**3) / 4


BARRIER = floor(_U) - floor(-1.0)


def molecules(rng: np.random.Generator, count: int) -> np.ndarray:
    """Drawn of exp(-F): x of the floor on a fine grid, y normal about it."""
    x = np.linspace(-2.2, 2.2, 2201)
    weight = np.exp(-floor(x / PLACE))
    x = rng.choice(x, count, p=weight / weight.sum())
    return np.stack([x, BEND * (1 - (x / PLACE) ** 2) + WIDTH * rng.normal(size=count)], axis=1)


def seen(rng: np.random.Generator, truth: np.ndarray, noise: float) -> LatentPosteriors:
    """The posterior of each image, its variance of noise from 0.43 to 1.57 times the mean."""
    variance = noise * rng.uniform(0.43, 1.57, (len(truth), 1))
    mean = (truth + np.sqrt(variance) * rng.normal(size=truth.shape)) / (1 + variance)
    return LatentPosteriors(
        mean=mean, covariance=(variance / (1 + variance))[:, :, None] * np.eye(2)
    )


def told(path: EnergyPath) -> list[float]:
    """Barrier, difference, distances of the lower well, the higher one and the pass from theirs."""
    profile = path.profile
    away = [np.linalg.norm(profile.points[[0, -1]] - end, axis=1).min() for end in WELLS]
    top = profile.points[profile.energy.argmax()]
    return [profile.barrier, profile.difference, *away, float(np.linalg.norm(top - PASS))]


def one(seed: int, options) -> dict[str, list[float]]:
    """Rows of `told` by estimate; of the deconvolution also whether its bands hold the truth."""
    rng = np.random.default_rng(seed)
    images = seen(rng, molecules(rng, options.images), options.noise)
    grid = latent_grid(images, options.nodes)
    start = time.process_time()
    density = Deconvolution(resamples=options.resamples, seed=seed).density(images, grid)
    path = StringMethod().between_wells(density)
    spent = time.process_time() - start
    (low, high), (under, over) = path.barrier_band(), path.difference_band()
    inside = [low < BARRIER < high, under < TILT < over]
    widths = [high - low, over - under]
    rows = {"deconvolution": [*told(path), *map(float, inside), *widths, spent]}
    try:
        rows["histogram"] = told(StringMethod().between_wells(histogram_density(images.mean, grid)))
    except SingleWell:
        print(f"seed {seed}: a single well in the histogram")
    print(
        f"seed {seed}: " + ", ".join(f"{value:.2f}" for value in rows["deconvolution"]), flush=True
    )
    return rows


def line(name: str, rows: np.ndarray) -> str:
    """A row of the table."""
    barrier, difference, low, high, top = rows[:, :5].T
    cells = [
        name,
        len(rows),
        *(f"{np.mean(x):.2f}" for x in (barrier - BARRIER, difference - TILT)),
    ]
    for wrong in (barrier - BARRIER, difference - TILT, low, high, top):
        cells.append(f"{np.sqrt(np.mean(wrong**2)):.2f}")
    cells += [f"{value:.2f}" for value in rows[:, 5:9].mean(axis=0)]
    cells += [f"{rows[:, 9].mean():.0f}"] if rows.shape[1] > 9 else []
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """All seeds, then the table."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("seeds", type=int)
    made.add_argument("--images", type=int, default=3000)
    made.add_argument("--noise", type=float, default=0.1)
    made.add_argument("--nodes", type=int, default=32)
    made.add_argument("--resamples", type=int, default=30)
    options = made.parse_args()
    rows: dict[str, list[list[float]]] = {}
    for seed in range(options.seeds):
        for name, row in one(seed, options).items():
            rows.setdefault(name, []).append(row)
    print(f"true barrier {BARRIER:.2f}, difference {TILT:.2f} k_B T")
    for name, found in rows.items():
        print(line(name, np.array(found)))


if __name__ == "__main__":
    main()
