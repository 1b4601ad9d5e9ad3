"""EM for a hyper-molecule on a circle: an arm that turns all the way round, poses known.

python ring.py [--starts 3] [--order 8]
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from ceiling import best_latents
from hinge import em_of
from world import FREQUENCY, RADIUS, SHARE, images, molecule

from cryojax_het.analysis.correlation import circular_correlation
from cryojax_het.inference.hyper_molecules.exact_em import Rise
from cryojax_het.inference.hyper_molecules.nodes import latent_moments
from cryojax_het.volumes.latent_functions.circle import FourierSeries
from cryojax_het.volumes.prolate.basis import prolate_basis

SETS = {4.0: 1000, 1.0: 2000}
NODES = 72
SMOOTH = 2.0, 0.5  # s of the prior (1 + p)^(-2s): that of a hinge, and that of a whole turn


def on_circle(mean, truth):
    """Circular correlation of two latents, -1 and 1 the same."""
    return circular_correlation(np.pi * mean[:, 0], np.pi * truth[:, 0]).value


def scored(em, equations, start, course, truth):
    """Circular correlation of the mean latent with the truth, log posterior."""
    found = em.fit(equations, start, course, NODES)
    mean, _ = latent_moments(found.belief, found.nodes, em.functions)
    value = float(found.belief.log_likelihood.sum() + em.log_prior(found.coefficients))
    return on_circle(np.asarray(mean), truth), value


def main() -> None:
    """A table line for each set and start."""
    made = argparse.ArgumentParser()
    made.add_argument("--starts", type=int, default=3)
    made.add_argument("--order", type=int, default=8)
    options = made.parse_args()
    basis, functions = prolate_basis(RADIUS, FREQUENCY, SHARE), FourierSeries(options.order)
    rises = [Rise(order, 4) for order in range(2, options.order)]
    course = (Rise(1, 12), *rises, Rise(options.order, 12))
    volume = molecule(degrees=180.0)
    for snr, count in SETS.items():
        world = images(volume, count, snr, 1)
        best, gain = best_latents(world, volume, functions, NODES)
        print(
            f"SNR {snr}: ceiling {on_circle(best, world.latents):.3f} at {gain:.2f} nats",
            flush=True,
        )
        em, equations = em_of(world, basis, functions)
        for smooth in SMOOTH:
            report(smoother(em, smooth), equations, course, world, options.starts)


def smoother(em, smooth):
    """With another fall of prior variances with the order."""
    wider = (1.0 + em.functions.orders()) ** (2 * SMOOTH[0] - 2 * smooth)
    return eqx.tree_at(lambda e: e.variance, em, em.variance * jnp.asarray(wider, jnp.float32))


def report(em, equations, course, world, starts):
    """A line for the start from true latents, and for each random one."""
    truth = em.from_latents(equations, jnp.asarray(world.latents))
    told, value = scored(em, equations, truth, course[-1:], world.latents)
    print(f"  oracle start {told:.3f} objective {value:.1f}", flush=True)
    for seed in range(starts):
        start = em.random_start(jax.random.key(seed), equations)
        rho, own = scored(em, equations, start, course, world.latents)
        print(f"  start {seed}: {rho:.3f} objective {own - value:+.1f}", flush=True)


if __name__ == "__main__":
    main()
