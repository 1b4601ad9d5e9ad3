"""Stochastic gradients beside exact EM on the hinge: batches of 100, latents unknown.

python gradients.py [--starts 2] [--rate 0.5] [--momentum 0.9]
"""

import argparse
import time

import equinox as eqx
import jax
import numpy as np
from hinge import CONTINUED, SETS, em_of
from scipy.stats import spearmanr
from world import FREQUENCY, RADIUS, SHARE, images, molecule

from cryojax_het.inference.hyper_molecules.exact_em import Rise
from cryojax_het.inference.hyper_molecules.gradient import HyperMoleculeGradient
from cryojax_het.inference.hyper_molecules.nodes import Nodes, latent_moments
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.prolate.basis import prolate_basis

BATCH = 100
PASSES = (Rise(1, 8), Rise(2, 4), Rise(3, 12))
PRIOR = LocalPrior(0.01, 0.1, 1.0, 0.0)


def descended(em, world, start, rate, momentum):
    """Coefficients after passes over batches in a new order each, with ever more functions."""
    nodes, count = Nodes.over(em.functions, 41), len(world.latents)
    model = Model(HyperMolecule(start, em.basis, em.functions), world.noise, PRIOR, AsGiven())
    rng = np.random.default_rng(0)
    step = eqx.filter_jit(lambda u, m, s, b: u.step(m, s, b, world.grid, jax.random.key(0))[:2])
    for rise in PASSES:
        variance = em.up_to(rise.order).variance
        update = HyperMoleculeGradient(nodes, variance, count, rate, momentum)
        state = update.init(model)
        for _ in range(rise.iterations):
            for rows in rng.permutation(count).reshape(-1, BATCH):
                part = jax.tree.map(lambda x, rows=rows: x[rows], world.batch)
                model, state = step(update, model, state, part)
    return model.volume.coefficients


def scored(em, equations, a, truth):
    """|ρ|, log posterior."""
    nodes = Nodes.over(em.functions, 41)
    belief = eqx.filter_jit(em.belief)(equations, a, nodes)
    mean, _ = latent_moments(belief, nodes, em.functions)
    rho = abs(spearmanr(np.asarray(mean)[:, 0], truth[:, 0]).statistic)
    return rho, float(belief.log_likelihood.sum() + em.log_prior(a))


def main() -> None:
    """A line for each set and start."""
    made = argparse.ArgumentParser()
    made.add_argument("--starts", type=int, default=2)
    made.add_argument("--rate", type=float, default=0.5)
    made.add_argument("--momentum", type=float, default=0.9)
    options = made.parse_args()
    basis = prolate_basis(RADIUS, FREQUENCY, SHARE)
    for snr, count in SETS.items():
        world = images(molecule(), count, snr, 1)
        em, equations = em_of(world, basis, Legendre(3))
        for seed in range(options.starts):
            start = em.random_start(jax.random.key(seed), equations)
            began = time.monotonic()
            fitted = em.fit(equations, start, CONTINUED).coefficients
            middle = time.monotonic()
            found = descended(em, world, start, options.rate, options.momentum)
            end = time.monotonic()
            for name, a, seconds in (
                ("EM", fitted, middle - began),
                ("gradients", found, end - middle),
            ):
                rho, value = scored(em, equations, a, world.latents)
                told = f"|rho| {rho:.3f} objective {value:.1f} ({seconds:.0f} s)"
                print(f"SNR {snr}: start {seed}: {name} {told}", flush=True)


if __name__ == "__main__":
    main()
