"""Simulation-based calibration of free-energy profiles on a toy whose discrimination is known.

    python sbc.py [SIMULATIONS]

A profile is drawn from the prior, images from its populations; an image sees its node with a normal
error of one node spacing. Ranks of the truth among draws must be uniform (Talts et al. 2018,
arXiv:1804.06788). Two planted bugs must show: likelihoods twice as sharp, and a prior of
steps ten times as small. All simulations of a variant are one compiled program. `sbc.md` holds what
this prints.
"""

import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from cryojax_het.inference.free_energy.no_u_turn import NoUTurnSampler
from cryojax_het.inference.free_energy.path_models import OnPath, WithOffPath
from cryojax_het.inference.free_energy.priors import RandomWalkPrior

NODES, IMAGES, KEPT, BINS, ABSENT = 6, 60, 99, 10, -4.0
SAMPLER = NoUTurnSampler(chains=2, warmup=250, draws=KEPT * 4, depth=6)
PRIOR, FLAT = RandomWalkPrior(2.0, 1.0), RandomWalkPrior(2.0, 0.01)


def profile(key):
    """From `PRIOR`: the precision of steps, then steps."""
    first, second = jax.random.split(key)
    precision = jax.random.gamma(first, PRIOR.shape) / PRIOR.rate
    steps = jax.random.normal(second, (NODES - 1,)) / jnp.sqrt(precision)
    walk = jnp.concatenate([jnp.zeros(1), jnp.cumsum(steps)])
    return walk - walk.mean()


def likelihood(key, populations, sharp):
    """`ℓ` of images that see their node with an error of one spacing."""
    first, second = jax.random.split(key)
    node = jax.random.categorical(first, jnp.log(populations), shape=(IMAGES,))
    seen = node + jax.random.normal(second, (IMAGES,))
    return -0.5 * sharp**2 * (seen[:, None] - jnp.arange(NODES)) ** 2


def ranks(draws, truth):
    """Of each quantity `[q]` among `KEPT` of the draws `[c, n, q]`."""
    kept = draws.reshape(-1, draws.shape[-1])[:: 2 * 4][:KEPT]
    return jnp.sum(kept < truth, axis=0)


def on_path(prior, sharp, key):
    keys = jax.random.split(key, 3)
    truth = profile(keys[0])
    ell = likelihood(keys[1], jax.nn.softmax(-truth), sharp)
    model = OnPath.of(ell, prior)
    chains = SAMPLER.run(keys[2], model.log_posterior, model.size)
    draws = jax.vmap(jax.vmap(lambda u: jax.nn.log_softmax(-model.profile(u))))(chains.unknowns)
    return ranks(draws, jax.nn.log_softmax(-truth))


def off_path(prior, sharp, key):
    """With a share of images of nothing on the path, whose null likelihood is known."""
    keys = jax.random.split(key, 6)
    truth, share = profile(keys[0]), jax.random.uniform(keys[3])
    ell = likelihood(keys[1], jax.nn.softmax(-truth), sharp)
    # Beyond the path images are seen far from it, evenly over a stretch of e^-ABSENT spacings.
    beyond = jax.random.uniform(keys[4], (IMAGES,)) < share
    stretch = np.exp(-ABSENT)
    place = jax.random.uniform(keys[2], (IMAGES,), minval=-stretch / 2, maxval=stretch / 2)
    apart = -0.5 * sharp**2 * (place[:, None] - jnp.arange(NODES)) ** 2
    ell = jnp.where(beyond[:, None], apart, ell) - 0.5 * jnp.log(2 * jnp.pi)
    within = jnp.full(IMAGES, ABSENT)
    model = WithOffPath.of(jnp.maximum(ell, -80.0), within, prior)
    chains = SAMPLER.run(keys[5], model.log_posterior, model.size)
    draws = jax.vmap(jax.vmap(lambda u: jax.nn.log_softmax(-model.profile(u))))(chains.unknowns)
    shares = jax.vmap(jax.vmap(model.off_path_share))(chains.unknowns)[..., None]
    every = jnp.concatenate([draws, shares], axis=-1)
    return ranks(every, jnp.append(jax.nn.log_softmax(-truth), share))


VARIANTS = {
    "right": partial(on_path, PRIOR, 1.0),
    "right, with a share off the path": partial(off_path, PRIOR, 1.0),
    "bug: likelihoods twice as sharp": partial(on_path, PRIOR, 2.0),
    "bug: prior of steps ten times as small": partial(on_path, FLAT, 1.0),
}


def main(count):
    print("| variant | least p of uniform ranks, corrected for the quantities | inside 90 % | s |")
    print("|---|---|---|---|")
    for name, one in VARIANTS.items():
        start = time.process_time()
        keys = jax.random.split(jax.random.key(11), count)
        found = np.asarray(jax.jit(jax.vmap(one))(keys))
        counts = [np.bincount(r * BINS // (KEPT + 1), minlength=BINS) for r in found.T]
        worst = min(stats.chisquare(c).pvalue for c in counts) * found.shape[1]
        inside = np.mean((found >= 5) & (found < 95))
        seconds = time.process_time() - start
        print(f"| {name} | {min(worst, 1):.3g} | {inside:.3f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
