"""Is linear truth found to the statistical limit? Fits of simulated sets against what is known.

    python recover.py FOLDER [--counts 500 2000 8000] [--seeds 1] [--halves 2000]
    python recover.py FOLDER --table

The sets are those of `world.py`. Each is fitted as a user would (`fit --volume linear`, defaults),
and compared with the ideal observer, which knows the true volumes: the share of the latents'
variance that is explained (R², affine), what latents tell of the contrast, the share of the true
components' power within the span of those found, and the coverage of the posteriors' regions,
latents aligned to the truth. `--halves N`: two fits of disjoint halves of one set, their volumes
then used on the same N images and compared without the truth.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from world import latents_under, make_world, true_maps

from cryojax_het.analysis.agreement import compare_latents
from cryojax_het.analysis.calibration import align, gaussian_coverage
from cryojax_het.particles.mrc import read_volume


def fit(star: Path, output: Path, seed: int) -> dict[str, float]:
    """A fit by the command line; CPU seconds and peak memory of it, once."""
    cost = output.with_suffix(".cost.json")
    if not cost.is_file():
        begun, before = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "cryojax_het", "fit", str(star), "-o", str(output)]
        subprocess.run([*command, "--volume", "linear", "--seed", str(seed)], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = {"cpu": cpu, "wall": time.time() - begun, "gb": after.ru_maxrss / 2**20}
        cost.write_text(json.dumps(found))
    return json.loads(cost.read_text())


def maps_of(run: Path) -> np.ndarray:
    """Mean and components of a run, stacked."""
    names = [run / "volumes" / "mean.mrc", *sorted((run / "volumes").glob("component_*.mrc"))]
    return np.stack([read_volume(name).data for name in names])


def explained(design, truth) -> float:
    """Share of the variance of `truth` that an affine map of `design` explains."""
    design = np.column_stack([np.ones(len(design)), design])
    left = truth - design @ np.linalg.lstsq(design, truth, rcond=None)[0]
    return float(1 - np.sum(left**2) / np.sum((truth - truth.mean(axis=0)) ** 2))


def captured(found, true) -> float:
    """Share of the power of the true components that lies in the span of those found."""
    basis, _ = np.linalg.qr(found.reshape(len(found), -1).T)
    rows = true.reshape(len(true), -1)
    return float(np.sum((rows @ basis) ** 2) / np.sum(rows**2))


def coverage(mean, covariance, truth):
    """Shares in regions of 50 % and 90 %, latents aligned to the truth by regression."""
    to = align(mean, truth)
    found = gaussian_coverage(to.points(mean), to.covariances(covariance), truth)
    return [c.observed for c in found]


def score(world, run: Path) -> dict[str, object]:
    """One fit beside the ideal observer."""
    read = lambda name: np.load(run / "latents" / f"{name}.npy").astype(float)
    mean, covariance, contrast = map(read, ("conformation", "conformation_covariance", "contrast"))
    ideal = latents_under(true_maps(), world.star, len(world.z))
    first, c, ideal_c = world.z.astype(float), world.contrast, ideal[2]
    true, found = true_maps(), maps_of(run)
    spread = lambda design: explained(design, c[:, None].astype(float))
    return {
        "components": mean.shape[1],
        "r2": explained(mean, first),
        "r2_ideal": explained(ideal[0], first),
        "contrast": float(np.corrcoef(contrast, c)[0, 1]),
        "contrast_ideal": float(np.corrcoef(ideal_c, c)[0, 1]),
        "leak": spread(mean),
        "leak_ideal": spread(ideal[0]),
        "captured": captured(found[1:], true[1:]),
        "mean_in_components": captured(found[1:], true[:1]),
        "mean_in_true": captured(true[1:], true[:1]),
        "coverage": coverage(mean, covariance, first) if mean.shape[1] >= 2 else None,
        "coverage_ideal": coverage(ideal[0].astype(float), ideal[1].astype(float), first),
    }


def compare_halves(world, folder: Path, seed: int) -> dict[str, object]:
    """Two fits of disjoint images, their latents of the same images."""
    runs = [folder / f"run_half{k}" for k in (1, 2)]
    for star, run in zip(world.halves, runs, strict=True):
        fit(star, run, seed)
    maps = [maps_of(run) for run in runs]
    latents = lambda m: latents_under(m, world.star, len(world.z))[0].astype(float)
    found = compare_latents(latents(maps[0]), latents(maps[1]))
    return {
        "components": [len(m) - 1 for m in maps],
        "linear": found.linear.value,
        "chance": found.linear.chance,
        "canonical": np.asarray(found.canonical).tolist(),
        "overlap": found.overlap.value,
        "captured": captured(maps[0][1:], maps[1][1:]),
    }


def main() -> None:
    """Make, fit, score; or the table."""
    own = argparse.ArgumentParser(description=__doc__)
    own.add_argument("folder", type=Path)
    own.add_argument("--counts", type=int, nargs="*", default=[500, 2000, 8000])
    own.add_argument("--seeds", type=int, default=1)
    own.add_argument("--halves", type=int, default=2000)
    own.add_argument("--table", action="store_true")
    options = own.parse_args()
    if options.table:
        print_table(options.folder)
        return
    for seed in range(options.seeds):
        for count in options.counts:
            folder = options.folder / f"{count}_{seed}"
            world = make_world(folder, count, seed)
            cost = fit(world.star, folder / "run", seed)
            found = score(world, folder / "run") | {"count": count, "cost": cost}
            (folder / "scores.json").write_text(json.dumps(found, indent=1))
        if options.halves:
            folder = options.folder / f"{options.halves}_{seed}"
            halves = compare_halves(make_world(folder, options.halves, seed), folder, seed)
            (folder / "halves.json").write_text(json.dumps(halves, indent=1))


def print_table(folder: Path) -> None:
    """Markdown of what has been scored."""
    print("| images | components | R² | ideal | contrast r | ideal | leak | ideal | span | mean in")
    print("components | in true | coverage 50 %, 90 % | ideal | CPU s |")
    for path in sorted(
        folder.glob("*/scores.json"), key=lambda p: int(p.parent.name.split("_")[0])
    ):
        s = json.loads(path.read_text())
        pair = lambda c: "-" if c is None else f"{c[0]:.3f}, {c[1]:.3f}"
        names = ("r2", "r2_ideal", "contrast", "contrast_ideal", "leak", "leak_ideal")
        cells = [str(s["count"]), str(s["components"]), *(f"{s[n]:.3f}" for n in names)]
        cells += [f"{s[n]:.3f}" for n in ("captured", "mean_in_components", "mean_in_true")]
        cells += [pair(s["coverage"]), pair(s["coverage_ideal"]), f"{s['cost']['cpu']:.0f}"]
        print("| " + " | ".join(cells) + " |")
    for path in sorted(folder.glob("*/halves.json")):
        print(path.parent.name, path.read_text())


if __name__ == "__main__":
    main()
