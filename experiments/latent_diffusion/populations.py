"""Populations of an assembly from draws of a learned density of latents.

    python populations.py SET OUT [--steps 3000] [--seed 0]

SET: `30S-comp` of `../six_sets/simulate.py`. Fits principal volumes and learns the density by the
command line, then asks: do draws differ from latents of images held out (two-sample test, and that
of a normal density); and how common is each state among the draws. Shares of states are those under
which the draws are the most likely, their densities those of a quadratic classifier trained on
posterior draws of images whose states are known (Saerens et al. 2002, Neural Comput. 14). As a
check, shares among images by a classifier that was trained on the other half.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

KEPT = 4  # latents of the fit: of eight, images tell no more
DRAWS = 10  # of each image's posterior, to train with


def run(*words) -> None:
    """One call of the command line."""
    subprocess.run([sys.executable, "-m", "cryojax_het", *map(str, words)], check=True)


def drawn(mean, covariance, rng):
    """One latent of each image's posterior."""
    root = np.linalg.cholesky(covariance)
    return mean + np.einsum("nij,nj->ni", root, rng.normal(size=mean.shape))


def classifier(z, state):
    """Of states by latents."""
    return QuadraticDiscriminantAnalysis(reg_param=1e-3).fit(z, state)


def shares(told, samples):
    """Of the states among `samples`, by EM on the probabilities of the classifier `told`."""
    trained = told.priors_
    odds, found = told.predict_proba(samples) / trained, trained
    for _ in range(3000):
        weight = odds * found
        before, found = found, np.mean(weight / weight.sum(axis=1, keepdims=True), axis=0)
        if np.abs(found - before).max() < 1e-7:
            break
    return found


def of_images(z, state, image, rng):
    """Shares among posterior draws of images, each half told by the other; how many rightly."""
    half = (rng.permutation(image.max() + 1) % 2 == 0)[image]
    each, right = [], []
    for part in (half, ~half):
        told = classifier(z[part], state[part])
        each.append(shares(told, z[~part]))
        right.append(np.mean(told.predict(z[~part]) == state[~part]))
    return np.mean(each, axis=0), np.mean(right)


def main() -> None:
    """Fit, learn, compare; prints a table."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("set", type=Path)
    made.add_argument("out", type=Path)
    made.add_argument("--steps", type=int, default=3000)
    made.add_argument("--seed", type=int, default=0)
    options = made.parse_args()
    fitted, prior = options.out / "fit", options.out / "prior"
    if not fitted.is_dir():
        words = ["--components", KEPT, "--devices", 1]
        run("fit", options.set / "particles.star", "-o", fitted, *words)
    run("latent-prior", fitted, "-o", prior, "--steps", options.steps, "--seed", options.seed)
    with h5py.File(options.set / "truth.h5") as file:
        state, truth = file["images/state"][()].astype(int), file["states/population"][()]
    rng = np.random.default_rng(options.seed)
    mean = np.load(fitted / "latents/conformation.npy").astype(float)
    covariance = np.load(fitted / "latents/conformation_covariance.npy").astype(float)
    z = np.concatenate([drawn(mean, covariance, rng) for _ in range(DRAWS)])
    many, image = np.tile(state, DRAWS), np.tile(np.arange(len(state)), DRAWS)
    samples = np.load(prior / "analysis/samples.npy")
    normal = rng.multivariate_normal(z.mean(axis=0), np.cov(z.T), len(samples))
    images, right = of_images(z, many, image, rng)
    told = classifier(z, many)
    found, base = (shares(told, points) for points in (samples, normal))
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
