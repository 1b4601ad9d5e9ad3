"""Two hinges that move on their own: a molecule of two regions against one that is all products.

python two_hinges.py [--starts 3]

The composite molecule has a ball and a latent for each half; the product one ball, and all products
of four functions of each latent. Poses are known, latents not.
"""

import argparse
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ceiling import best_latents
from scipy.stats import spearmanr
from world import FREQUENCY, RADIUS, SHARE, images, molecule

from cryojax_het.inference.hyper_molecules.coefficient_prior import prior_variance
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM, Rise
from cryojax_het.inference.hyper_molecules.image_equations import image_equations
from cryojax_het.inference.hyper_molecules.nodes import Contrast, latent_moments
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.latent_functions.products import TotalOrder
from cryojax_het.volumes.latent_functions.side_by_side import SideBySide
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.composite_basis import CompositeBasis

SETS = {4.0: 1000, 1.0: 2000}
HALF, AWAY = 7.5, 4.0  # radius of the ball of a half, and how far out its middle is
NODES = 21
AXES = (Legendre(3), Legendre(3))
STEPS = {  # iterations at each order: products go on to the sixth
    "composite": (Rise(1, 15), Rise(2, 7), Rise(3, 15)),
    "product": (Rise(1, 15), Rise(2, 7), Rise(3, 7), Rise(4, 3), Rise(5, 3), Rise(6, 9)),
    "total order 3": (Rise(1, 15), Rise(2, 7), Rise(3, 15)),
}
KNOWN = Contrast(jnp.ones(()), jnp.zeros(()))


def kinds():
    """Name, functions in space, functions of the latents."""
    ball = prolate_basis(RADIUS, FREQUENCY, SHARE)
    half = prolate_basis(HALF, FREQUENCY, SHARE)
    centres = jnp.array([[AWAY, 0.0, 0.0], [-AWAY, 0.0, 0.0]])
    yield "composite", CompositeBasis((half, half), centres), SideBySide(AXES)
    yield "total order 3", ball, TotalOrder(AXES, 3)
    yield "product", ball, TotalOrder(AXES, 6)


def em_of(world, equations, basis, functions):
    """EM with a prior from the consensus; a region has no function of another's latent."""
    traces = [jnp.einsum("bkk->", gram) for gram in equations.gram]
    # Weak, but within single precision: functions of balls that overlap are nearly dependent.
    flat = jnp.full((basis.size, 1), 1e4 * basis.size / sum(traces))
    first = ExactEM(basis, Legendre(0), flat, KNOWN)
    consensus = first.from_latents(equations, jnp.zeros((len(world.latents), 1)))[:, 0]
    variance = prior_variance(basis, consensus, functions)
    if isinstance(basis, CompositeBasis) and isinstance(functions, SideBySide):
        own = basis.region_of_each()[:, None] == functions.axis_of_each()
        variance = variance * own
    return ExactEM(basis, functions, variance, KNOWN)


def matched(mean, truth):
    """|ρ| of each true latent with its own of the found, the better of the two orders."""
    table = np.abs([[spearmanr(a, b).statistic for b in mean.T] for a in truth.T])
    orders = itertools.permutations(range(2))
    return max(([table[i, o[i]] for i in range(2)] for o in orders), key=sum)


def fitted(em, train, test, start, course, world):
    """|ρ| of both latents in training, log posterior, nats an image held out."""
    found = em.fit(train, start, course, NODES)
    mean, _ = latent_moments(found.belief, found.nodes, em.functions)
    value = float(found.belief.log_likelihood.sum() + em.log_prior(found.coefficients))
    held = eqx.filter_jit(em.belief)(test, found.coefficients, found.nodes)
    rho = matched(np.asarray(mean), world.latents)
    return rho, value, float(held.log_likelihood.mean())


def main() -> None:
    """A table line for each set, kind and start."""
    made = argparse.ArgumentParser()
    made.add_argument("--starts", type=int, default=3)
    options = made.parse_args()
    volume = molecule(arms=2)
    for snr, count in SETS.items():
        train, test = images(volume, count, snr, 1), images(volume, 1000, snr, 2)
        best, _ = best_latents(train, volume, SideBySide(AXES), NODES)
        _, gain = best_latents(test, volume, SideBySide(AXES), NODES)
        told = matched(best, train.latents)
        print(f"SNR {snr}: ceiling {told[0]:.3f} {told[1]:.3f} held out {gain:.2f}", flush=True)
        for name, basis, functions in kinds():
            make = eqx.filter_jit(image_equations)
            ours, theirs = (make(basis, w.noise, w.batch, w.grid) for w in (train, test))
            em = em_of(train, ours, basis, functions)
            free = int((em.variance > 0).sum())
            course = STEPS[name]
            truth = em.from_latents(ours, jnp.asarray(train.latents))
            starts = {"oracle": (truth, course[-1:])}
            for seed in range(options.starts):
                start = em.random_start(jax.random.key(seed), ours)
                starts[f"start {seed}"] = (start, course)
            for label, (start, steps) in starts.items():
                rho, value, held = fitted(em, ours, theirs, start, steps, train)
                print(
                    f"SNR {snr}: {name} ({free} coefficients) {label}: |rho| {rho[0]:.3f} "
                    f"{rho[1]:.3f} objective {value:.1f} held out {held:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
