"""Populations of an assembly from draws of a learned density of latents.

    python populations.py SET OUT [--steps 6000]

SET: `30S-comp` of `../six_sets/simulate.py`. Fits principal volumes and learns the density by the
command line, then asks: do draws differ from latents of images held out (two-sample test, and that
of a normal density); and how common is each state among the draws. States of draws are told by a
quadratic classifier trained on posterior draws of half the images, whose confusions, counted on the
other half, are solved for.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from scipy.optimize import nnls
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

KEPT = 4  # latents of the fit: of eight, images tell no more


def run(*words) -> None:
    """One call of the command line."""
    subprocess.run([sys.executable, "-m", "cryojax_het", *map(str, words)], check=True)


def drawn(mean, covariance, rng):
    """One latent of each image's posterior."""
    root = np.linalg.cholesky(covariance)
    return mean + np.einsum("nij,nj->ni", root, rng.normal(size=mean.shape))


def populations(z, state, samples, rng):
    """Shares of states among `samples`, and among the images by the same estimate."""
    half = rng.permutation(len(z)) < len(z) // 2
    told = QuadraticDiscriminantAnalysis(reg_param=1e-3).fit(z[half], state[half])
    count = state.max() + 1
    confusion = np.zeros((count, count))
    np.add.at(confusion, (told.predict(z[~half]), state[~half]), 1)
    confusion /= confusion.sum(axis=0)

    def shares(points):
        seen = np.bincount(told.predict(points), minlength=count) / len(points)
        found = nnls(confusion, seen)[0]
        return found / found.sum()

    return shares(samples), shares(z[~half]), float(np.mean(told.predict(z[~half]) == state[~half]))


def main() -> None:
    """Fit, learn, compare; prints a table."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("set", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--steps", type=int, default=6000)
    options = made.parse_args()
    fitted, prior = options.out / "fit", options.out / "prior"
    run("fit", options.set / "particles.star", "-o", fitted, "--components", KEPT, "--devices", 1)
    run("latent-prior", fitted, "-o", prior, "--steps", options.steps)
    with h5py.File(options.set / "truth.h5") as file:
        state, truth = file["images/state"][()].astype(int), file["states/population"][()]
    rng = np.random.default_rng(0)
    mean = np.load(fitted / "latents/conformation.npy").astype(float)
    covariance = np.load(fitted / "latents/conformation_covariance.npy").astype(float)
    z = drawn(mean, covariance, rng)
    samples = np.load(prior / "analysis/samples.npy")
    normal = rng.multivariate_normal(z.mean(axis=0), np.cov(z.T), len(samples))
    found, images, right = populations(z, state, samples, rng)
    base, _, _ = populations(z, state, normal, rng)
    own = np.bincount(state, minlength=len(truth)) / len(state)
    print(json.dumps(json.loads((prior / "analysis/latent_prior.json").read_text()), indent=1))
    print(f"\nposterior draws told rightly: {right:.2f}\n")
    print("| state | images | by classifier, images | draws | draws of a normal density |")
    print("|---|---|---|---|---|")
    for row in zip(range(len(own)), own, images, found, base, strict=True):
        print("| {} | {:.3f} | {:.3f} | {:.3f} | {:.3f} |".format(*row))
    worst = [np.abs(x - own).max() for x in (images, found, base)]
    print("| largest error | | {:.3f} | {:.3f} | {:.3f} |".format(*worst))


if __name__ == "__main__":
    main()
