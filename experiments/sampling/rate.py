"""Effective draws per CPU second: blocks in turn against one NUTS of everything.

    python rate.py [IMAGES] [NOISE]

The same joint density, images and starts: coefficients and noise, conformation, turn and shift of
every image. Times are of one core after compilation, warm-up left out and told apart.
"""

import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import world as tiny
from numpyro.infer import NUTS
from sbc import local_nodes
from world import COEFFICIENTS, GRID, POWER, drawn_parameters, local_joint, photographed, starting

from cryojax_het.inference.chain_diagnostics import bulk_size, r_hat, tail_size
from cryojax_het.inference.gibbs.linear_parameters import LinearParameters
from cryojax_het.inference.gibbs.local_moves import LocalMoves
from cryojax_het.inference.gibbs.noise_power import WhiteNoisePower
from cryojax_het.inference.gibbs.sampler import Gibbs
from cryojax_het.inference.gibbs.starts import starts_from_grid
from cryojax_het.inference.sample.chains import KernelChains
from cryojax_het.inference.sample.model import joint_model, sites

CHAINS, DRAWS = 4, 400


def simulated(images: int):
    """A world of that many images."""
    keys = jax.random.split(jax.random.key(3), 4)
    joint = local_joint()
    truth = drawn_parameters(keys[0], joint)
    scaled = jax.random.normal(keys[1], (images, 6))
    return photographed(keys[2], joint, truth, scaled, starting(keys[3], images))


def timed(advance, state):
    """What `advance` gives, and CPU seconds."""
    began = time.process_time()
    found = jax.block_until_ready(advance(state))
    return found, time.process_time() - began


def measured(name, advance, state, pick):
    """One line of the report; `advance` makes `DRAWS` steps, as many as are left out before."""
    compiled = jax.jit(advance).lower(state).compile()
    (state, _), before = timed(compiled, state)
    (_, draws), seconds = timed(compiled, state)
    shared, own = pick(draws)
    size = np.minimum(bulk_size(shared), tail_size(shared))
    local = bulk_size(own)
    cells = [
        f"{before:.1f}, {seconds:.1f}",
        f"{r_hat(shared).max():.3f}",
        f"{np.median(r_hat(own).max(axis=-1)):.3f}, {r_hat(own).max():.3f}",
        f"{size.min():.0f}",
        f"{np.median(local):.0f}, {local.min():.0f}",
        f"{size.min() / seconds:.1f}",
        f"{np.median(local) / seconds:.1f}, {local.min() / seconds:.2f}",
    ]
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def together(coefficients, log_power, scaled):
    """Draws `[chain, draw, q]` of what is shared, and `[chain, draw, image, p]`."""
    flat = np.asarray(coefficients).reshape(*coefficients.shape[:2], -1)
    shared = np.concatenate([flat, np.asarray(log_power)[..., None]], axis=-1)
    return np.swapaxes(shared, 0, 1), np.swapaxes(np.asarray(scaled), 0, 1)


def main() -> None:
    """Both, on one world."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    if len(sys.argv) > 2:
        tiny.SIGMA = float(sys.argv[2])
    world = eqx.filter_jit(simulated)(images)
    values = world.joint.values(world.joint.start())
    key = jax.random.key(0)
    starts = eqx.filter_jit(starts_from_grid)(key, world, values, local_nodes(), 9, CHAINS)
    print(f"{images} images, noise {tiny.SIGMA} per pixel, {CHAINS} chains of {DRAWS} draws")
    print(
        "\n| sampler | s: warm-up, draws | R-hat | R-hat of images: median, most | ESS | of images:"
        " median, least | ESS/s | of images |"
    )
    print("|---" * 8 + "|")

    blocks = (LocalMoves(starts.mixture, starts.variance),)
    blocks += (LinearParameters.by_linearity(COEFFICIENTS), WhiteNoisePower())
    sampler = Gibbs(blocks, DRAWS)
    spread = jax.tree.map(lambda x: jnp.broadcast_to(x, (CHAINS, *x.shape)), values)
    state = eqx.filter_jit(sampler.begin)(key, world, spread, starts.begin)
    pick = lambda d: together(d.values[COEFFICIENTS], jnp.log(d.values[POWER]), d.scaled)
    measured("blocks in turn", lambda s: sampler.advance(world, s, DRAWS), state, pick)

    program = KernelChains(NUTS(joint_model(world.joint, GRID)), (world.batch,), DRAWS)
    begin = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (CHAINS, *x.shape)), sites(world.joint, world.joint.start())
    )
    state = eqx.filter_jit(program.begin)(key, begin | {"latents": starts.begin})
    free = lambda d, name: d.sites[f"free {name}"]
    pick = lambda d: together(free(d, COEFFICIENTS), free(d, POWER), d.sites["latents"])
    measured("NUTS of everything", lambda s: program.advance(s, DRAWS), state, pick)


if __name__ == "__main__":
    main()
