"""EM for a hyper-molecule on the hinge, latents unknown, poses known.

python hinge.py [--starts 5]
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr
from world import FREQUENCY, RADIUS, SHARE, images, molecule

from cryojax_het.inference.hyper_molecules.coefficient_prior import prior_variance
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM, Rise
from cryojax_het.inference.hyper_molecules.image_equations import image_equations
from cryojax_het.inference.hyper_molecules.nodes import Contrast, latent_moments
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.prolate.basis import prolate_basis

SETS = {4.0: 1000, 1.0: 2000, 0.5: 2000}  # images at each ratio of signal to noise
CONTINUED = (Rise(1, 15), Rise(2, 7), Rise(3, 28))
AT_ONCE = (Rise(3, 50),)


def em_of(world, basis, functions):
    """EM with a prior from the consensus, and the equations of all images."""
    made = eqx.filter_jit(image_equations)(basis, world.noise, world.batch, world.grid)
    flat = jnp.full((basis.size, 1), 1e6)
    known = Contrast(jnp.ones(()), jnp.zeros(()))
    first = ExactEM(basis, Legendre(0), flat, known)
    consensus = first.from_latents(made, jnp.zeros((len(world.latents), 1)))[:, 0]
    return ExactEM(basis, functions, prior_variance(basis, consensus, functions), known), made


def scored(em, equations, start, course, truth):
    """|ρ| of the mean latent with the truth, log posterior, seconds."""
    began = time.monotonic()
    found = em.fit(equations, start, course)
    mean, _ = latent_moments(found.belief, found.nodes, em.functions)
    rho = abs(spearmanr(np.asarray(mean)[:, 0], truth[:, 0]).statistic)
    value = float(found.belief.log_likelihood.sum() + em.log_prior(found.coefficients))
    return rho, value, time.monotonic() - began


def main() -> None:
    """A table line for each set and start."""
    made = argparse.ArgumentParser()
    made.add_argument("--starts", type=int, default=5)
    options = made.parse_args()
    basis = prolate_basis(RADIUS, FREQUENCY, SHARE)
    print(f"{basis.size} functions, c = {basis.bandlimit:.2f}")
    for snr, count in SETS.items():
        world = images(molecule(), count, snr, 1)
        em, equations = em_of(world, basis, Legendre(3))
        truth = em.from_latents(equations, jnp.asarray(world.latents))
        rho, value, seconds = scored(em, equations, truth, (Rise(3, 10),), world.latents)
        print(
            f"SNR {snr}: oracle start |rho| {rho:.3f} objective {value:.1f} ({seconds:.0f} s)",
            flush=True,
        )
        for seed in range(options.starts):
            key = jax.random.key(seed)
            for name, course in (("continued", CONTINUED), ("at once", AT_ONCE)):
                start = em.random_start(key, equations, course[0].order)
                rho, value_, seconds = scored(em, equations, start, course, world.latents)
                told = f"|rho| {rho:.3f} objective {value_ - value:+.1f} ({seconds:.0f} s)"
                print(f"SNR {snr}: {name} start {seed}: {told}", flush=True)


if __name__ == "__main__":
    main()
