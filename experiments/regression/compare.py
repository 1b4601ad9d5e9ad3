"""Maps at latent points: kernel regression and spectral volumes against the truth.

    cryojax-het simulate hinge --count 4000 --size 32 --pixel-size 8 --snr 0.2 -o SIM
    python compare.py SIM

True latents plus noise of known covariance (three numbers: the angle, its square, and nothing)
stand in for a fit. Scores: area under the FSC with the true map in the moving region.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.map_scores import areas
from cryojax_het.analysis.regions import find_regions
from cryojax_het.analysis.state_sums import true_batches, true_grid, true_noise
from cryojax_het.inference.group_tables import gather
from cryojax_het.inference.regression.cloud import LatentCloud
from cryojax_het.inference.regression.graph import graph_basis
from cryojax_het.inference.regression.kernel_regression import KernelRegression, consensus_signal
from cryojax_het.inference.regression.partition import half_groups
from cryojax_het.inference.regression.spectral import spectral_volumes
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.truth import open_truth
from cryojax_het.volumes.kernel import quadratic

TARGETS, BATCH = 16, 8


def stand_in(truth, seed=0):
    """True latents [n, 3] and those of a fit: noisy, of known covariance."""
    rng = np.random.default_rng(seed)
    angle = truth.images.conformation[:, 0]
    u = (angle - angle.mean()) / angle.std()
    true = np.stack([u, (u**2 - 1) / np.std(u**2), 0 * u], axis=1)
    width = rng.uniform([0.15, 0.5, 0.7], [0.5, 1.0, 1.0], true.shape)
    covariance = np.eye(3) * (width**2)[:, None]
    return true, LatentCloud(mean=true + width * rng.normal(size=true.shape), covariance=covariance)


def regression(source, truth, cloud, mask, count):
    """Gathered with `count` groups per half-set; and the seconds that it took."""
    began = time.perf_counter()
    groups, half = half_groups(cloud.whitened(), truth.half.astype(np.int64), count)
    batches = lambda plan: true_batches(source, truth, plan, BATCH)
    how = true_noise(source, truth), true_grid(truth), quadratic()
    tables = gather(batches, groups, len(half), BATCH, how)
    seconds = time.perf_counter() - began
    signal = consensus_signal(tables, half, mask)
    return KernelRegression(
        tables=tables, groups=groups, half=half, cloud=cloud, mask=mask, signal=signal
    ), seconds


def report(name, scores, seconds=float("nan")):
    print(f"| {name} | {np.mean(scores):.4f} | {seconds:.2f} |", flush=True)


def single_rows(kind, rows, score):
    """Single bandwidths; `score(bandwidth, row)`."""
    tried = np.geomspace(0.5, 64, 15)
    single = np.array([[score(h, row) for h in tried] for row in rows])
    for h, mean in zip(tried[::2], single.mean(axis=0)[::2], strict=True):
        report(f"{kind}: bandwidth {h:.1f}", mean)
    report(f"{kind}: best bandwidth for all, by the truth", single.mean(axis=0).max())
    report(f"{kind}: best bandwidth for each, by the truth", single.max(axis=1))


def spectral_rows(found, cloud, true, timed):
    """Maps of the spectral volumes, from the tables of the regression `found`."""
    began = time.process_time()
    about = found.signal, found.mask
    basis = graph_basis(cloud, 10)
    spectral = spectral_volumes(found.tables, found.groups, found.half, basis, about)
    seconds = time.process_time() - began
    report(
        f"true latent: spectral, {len(spectral.terms)} terms (once: {seconds:.1f} CPU s)",
        *timed(lambda row: spectral.volume(cloud.point(true[row]))),
    )
    report("image: spectral", *timed(lambda row: spectral.image(int(row))))


def main(folder):
    truth = open_truth(folder)
    source = open_particles(truth.particles)
    states = range(len(truth.states))
    regions = find_regions(map(truth.map, states), truth.states.population, truth.pixel_size)
    true, cloud = stand_in(truth)
    rows = np.argsort(true[:, 0])[:: len(true) // TARGETS][:TARGETS]

    def score(volume, row):
        mask, expected = regions.moving, truth.map(int(truth.images.state[row]))
        return float(areas(fourier_shell_correlation(volume * mask, expected * mask)))

    def timed(make):
        make(rows[0])
        before = time.process_time()
        maps = [make(row) for row in rows]
        seconds = (time.process_time() - before) / len(rows)
        return [score(volume, row) for volume, row in zip(maps, rows, strict=True)], seconds

    print(f"{len(true)} images, {TARGETS} targets, {jax.devices()[0].platform}\n")
    print("| maps | FSC area, moving region | CPU s per map |\n|---|---|---|")
    for count in (100, 200, 400):
        found, seconds = regression(source, truth, cloud, regions.molecule, count)
        report(
            f"{count} groups per half (pass: {seconds:.1f} s), true latent: chosen by half-sets",
            *timed(lambda row, r=found: r.volume(cloud.point(true[row])).map),
        )
    report("consensus", [score(found.single(cloud.image(row), 1e9), row) for row in rows])
    for kind, target in (
        ("true latent", lambda row: cloud.point(true[row])),
        ("image", lambda row: cloud.image(int(row))),
    ):
        report(
            f"{kind}: chosen by half-sets", *timed(lambda row, at=target: found.volume(at(row)).map)
        )
        single_rows(kind, rows, lambda h, r, at=target: score(found.single(at(r), h), r))
    spectral_rows(found, cloud, true, timed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
