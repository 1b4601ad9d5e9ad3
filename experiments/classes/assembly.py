"""Classes of the assembly intermediates of the 30S subunit: what starts lead to, and the ceiling.

    cryojax-het simulate 30S-comp -o SIM --count 4000 --size 32 --pixel-size 10 --snr 0.3
    cryojax-het fit SIM/particles.star --volume linear -o LINEAR
    python experiments/classes/assembly.py SIM LINEAR OUT

Runs what OUT does not have yet, and prints the table of `assembly.md`.
"""

import sys
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import comb

from cryojax_het.analysis.ceiling import state_posterior
from cryojax_het.analysis.composition import cluster
from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.latent_mixture import latent_mixture
from cryojax_het.commands.fit_classes import ClassesConfig, fit_classes
from cryojax_het.particles.open import open_particles
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.simulate.truth import open_truth

CLASSES = 8


def table_of(true, found):
    """Images of each true state in each class found."""
    counts = np.zeros((true.max() + 1, found.max() + 1), int)
    np.add.at(counts, (true, found), 1)
    return counts


def adjusted_rand(true, found):
    """Hubert & Arabie 1985."""
    counts = table_of(true, found)
    pairs = comb(counts, 2).sum()
    rows, columns = (comb(counts.sum(axis=axis), 2).sum() for axis in (1, 0))
    expected = rows * columns / comb(len(true), 2)
    return (pairs - expected) / ((rows + columns) / 2 - expected)


def scores(true, found):
    """ARI, share of images in the class matched to theirs, and half the absolute differences of
    populations, classes matched."""
    counts = table_of(true, found)
    row, column = linear_sum_assignment(-counts)
    shares = np.zeros(len(counts))
    shares[row] = counts.sum(axis=0)[column] / len(true)
    extra = 1 - shares.sum()
    missed = np.abs(shares - counts.sum(axis=1) / len(true)).sum() + extra
    return adjusted_rand(true, found), counts[row, column].sum() / len(true), missed / 2


def fitted(star, output, **options):
    """Summary and labels of a classification."""
    config = ClassesConfig(particles=star, output=output, classes=(CLASSES,), **options)
    summary = fit_classes(config, ["assembly.py"])
    return summary, np.load(output / "latents" / "labels.npy").astype(int)


def line(name, true, found, summary=None):
    """One row of the table."""
    ari, accuracy, missed = scores(true, found)
    about = (
        "| |"
        if summary is None
        else f"{summary['log_likelihood']:.2f} | {summary['seconds']:.0f} |"
    )
    print(f"| {name} | {ari:.3f} | {accuracy:.3f} | {missed:.3f} | {about}", flush=True)


def _keep(path, labels):
    """Written once: a run whose start has changed since is not taken up."""
    if not path.exists():
        np.save(path, labels)


def main(simulation, linear, output):
    """All rows."""
    star, truth = simulation / "particles.star", open_truth(simulation / "truth.h5")
    true = np.asarray(truth.images.state)
    output.mkdir(parents=True, exist_ok=True)
    print("| | ARI | accuracy | populations off | log-likelihood | s |\n|---|---|---|---|---|---|")
    ideal = state_posterior(open_particles(star, ReadOptions()), truth, np.arange(len(true)))
    line("ideal observer (ceiling)", true, ideal.most_probable())
    _keep(output / "true.npy", true)
    summary, found = fitted(star, output / "from_truth", start=output / "true.npy")
    line("EM from the true labels", true, found, summary)
    latents = LatentPosteriors(
        mean=np.load(linear / "latents" / "conformation.npy"),
        covariance=np.load(linear / "latents" / "conformation_covariance.npy"),
    )
    size = latents.mean.shape[1]
    line(f"k-means of {size} PPCA latents", true, cluster(latents.mean, CLASSES, 0))
    points = latent_mixture(latents, CLASSES).labels()
    line(f"mixture of points in {size} PPCA latents", true, points)
    summary, found = fitted(star, output / "from_latents", start=linear)
    line("EM from the mixture", true, found, summary)
    for seed in range(3):
        summary, found = fitted(star, output / f"random{seed}", seed=seed)
        line(f"EM from random subsets, seed {seed}", true, found, summary)
    summary, found = fitted(star, output / "stochastic", algorithm="stochastic")
    line("stochastic EM from random subsets", true, found, summary)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
