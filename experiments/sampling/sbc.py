"""Simulation-based calibration of the Gibbs sampler: parameters, latents, poses, noise.

    python sbc.py FOLDER [right | double_noise | even_weights | haar | no_haar | table] ...

Everything is drawn from the prior, simulated and sampled; the truth's rank among draws must be
uniform (Talts et al. 2018, arXiv:1804.06788). Planted bugs must show. One compiled program for all
simulations and variants of a world. `table` prints what `sbc.md` holds.
"""

import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from world import (
    COEFFICIENTS,
    GRID,
    POWER,
    drawn_parameters,
    local_joint,
    photographed,
    posed_joint,
    starting,
)

from cryojax_het.analysis.calibration import rank_histogram
from cryojax_het.imaging import rotation as so3
from cryojax_het.inference.gibbs.block import Place
from cryojax_het.inference.gibbs.linear_parameters import LinearParameters
from cryojax_het.inference.gibbs.local_moves import LocalMoves
from cryojax_het.inference.gibbs.noise_power import WhiteNoisePower
from cryojax_het.inference.gibbs.sampler import Gibbs, log_likelihoods
from cryojax_het.inference.gibbs.starts import starts_from_grid
from cryojax_het.inference.marginal_latents import LatentNodes

PART, IMAGES, KEPT = 25, 3, 99
WARMUP, SWEEPS = 150, 594
ROTATIONS = so3.uniform_grid(0).astype(np.float32)  # 60° apart
VARIANTS = {  # world, simulations, its switches
    "right": ("local", 325, (1.0, 1.0)),
    "double_noise": ("local", 100, (2.0, 1.0)),
    "even_weights": ("local", 200, (1.0, 0.0)),
    "haar": ("posed", 300, (1.0,)),
    "no_haar": ("posed", 400, (0.0,)),
}
SHARED = [f"a{k}{q}" for k in (1, 2, 3) for q in (0, 1)] + ["log noise"]
NAMES = {
    "local": [*SHARED, "z", "ω1", "ω2", "ω3", "shift x", "shift y", "log likelihood"],
    "posed": ["z", "ω1", "ω2", "ω3", "angle", "log likelihood"],
}


def local_nodes() -> LatentNodes:
    """Conformations from -3 to 3, poses as given; as wide as the prior in these."""
    z = jnp.linspace(-3, 3, 9)
    points = jnp.zeros((9, 6)).at[:, 0].set(z)
    return LatentNodes(points, jnp.zeros(9), jnp.array([0.75, 1, 1, 1, 1, 1]))


def posed_nodes(scale) -> LatentNodes:
    """Conformations at 5 points, 72 rotations an 60° apart."""
    turns = jax.vmap(so3.log)(jnp.asarray(ROTATIONS)) / scale
    z = jnp.linspace(-2, 2, 5)
    z, which = jnp.meshgrid(z, jnp.arange(len(turns)), indexing="ij")
    points = jnp.concatenate([z.reshape(-1, 1), turns[which.ravel()]], axis=1)
    step = jnp.concatenate([jnp.ones(1), jnp.full(3, 0.5) / scale])
    return LatentNodes(points, jnp.zeros(len(points)), step)


def local(key, switches):
    """Draws `[kept, q]` and truth `[q]` of one simulation of `IMAGES` images."""
    right, believed = local_joint(), local_joint(*switches)
    keys = jax.random.split(key, 5)
    truth = drawn_parameters(keys[0], right)
    scaled = jax.random.normal(keys[1], (IMAGES, 6))
    world = photographed(keys[2], right, truth, scaled, starting(keys[3], IMAGES))
    world = eqx.tree_at(lambda w: w.joint, world, believed)
    values = believed.values(believed.start())
    starts = starts_from_grid(keys[4], world, values, local_nodes(), 9, 1)
    moves = LocalMoves(starts.mixture, starts.variance)
    blocks = (moves, LinearParameters.by_linearity(COEFFICIENTS), WhiteNoisePower())
    draws = run(keys[4], world, blocks, values, starts)

    def tested(values, scaled, found):
        parts = [values[COEFFICIENTS].ravel(), jnp.log(values[POWER])[None]]
        return jnp.concatenate([*parts, scaled.ravel(), found.sum()[None]])

    return jax.vmap(tested)(*draws), tested(truth, scaled, likelihood(world, truth, scaled))


def posed(key, switches):
    """The same of one image at any pose."""
    right, believed = posed_joint(), posed_joint(*switches)
    keys = jax.random.split(key, 5)
    batch = starting(keys[3], 1)
    turn = so3.log(so3.random(keys[1]))
    scale = right.widths(batch, GRID).scale[0]
    z = jax.random.normal(keys[0], (1,))
    scaled = jnp.concatenate([z, turn / scale[1:]])[None]
    world = photographed(keys[2], right, {}, scaled, batch)
    # The same units for both priors: that without the Haar term is flat.
    widths, nodes = world.widths, posed_nodes(scale[1])
    world = eqx.tree_at(lambda w: (w.joint, w.widths), world, (believed, widths))
    starts = starts_from_grid(keys[4], world, {}, nodes, 32, 1)
    draws = run(keys[4], world, (LocalMoves(starts.mixture, starts.variance),), {}, starts)

    def tested(scaled, found):
        u = scaled[0] * scale
        return jnp.concatenate([u, jnp.linalg.norm(u[1:])[None], found])

    return jax.vmap(tested)(*draws[1:]), tested(scaled, likelihood(world, {}, scaled))


def run(key, world, blocks, values, starts):
    """Kept draws of one chain: values, scaled unknowns, log-likelihoods."""
    sampler = Gibbs(blocks, WARMUP)
    spread = jax.tree.map(lambda x: x[None], values)
    state = sampler.begin(key, world, spread, starts.begin)
    _, draws = sampler.advance(world, state, WARMUP + SWEEPS)
    kept = (draws.values, draws.scaled, draws.log_likelihood)
    return jax.tree.map(lambda x: x[WARMUP :: SWEEPS // KEPT, 0][:KEPT], kept)


def likelihood(world, values, scaled):
    """Of the truth, under the density that is believed."""
    return log_likelihoods(world, Place(values, scaled))


PROGRAMS = {
    "local": jax.jit(jax.vmap(local, (0, None))),
    "posed": jax.jit(jax.vmap(posed, (0, None))),
}


def simulated(name: str, folder: Path) -> None:
    """All simulations of one variant, kept in the folder."""
    world, count, switches = VARIANTS[name]
    part = PART if world == "local" else 100
    keys = jax.random.split(jax.random.key(1), count)
    given = tuple(jnp.asarray(x, jnp.float32) for x in switches)
    drawn, truths = [], []
    for first in range(0, count, part):
        began = time.process_time()
        found = jax.block_until_ready(PROGRAMS[world](keys[first : first + part], given))
        drawn.append(np.asarray(found[0]))
        truths.append(np.asarray(found[1]))
        print(name, first + part, f"{time.process_time() - began:.1f} s", flush=True)
        np.savez(folder / f"{name}.npz", draws=np.concatenate(drawn), truth=np.concatenate(truths))
    assert PROGRAMS[world]._cache_size() == 1, "compiled more than once"


def separate(name: str, folder: Path):
    """Draws `[s, kept]` and truth `[s]` of each tested quantity; images are pooled."""
    held, world = np.load(folder / f"{name}.npz"), VARIANTS[name][0]
    draws, truth, names = held["draws"], held["truth"], NAMES[world]
    if world == "posed":
        return {n: (draws[..., i], truth[:, i]) for i, n in enumerate(names)}
    shared = len(SHARED)
    found = {n: (draws[..., i], truth[:, i]) for i, n in enumerate(SHARED)}
    each = draws[..., shared:-1].reshape(len(draws), KEPT, IMAGES, 6)
    own = truth[:, shared:-1].reshape(len(truth), IMAGES, 6)
    for i, n in enumerate(names[shared:-1]):
        found[n] = (np.swapaxes(each[..., i], 1, 2).reshape(-1, KEPT), own[..., i].ravel())
    found[names[-1]] = (draws[..., -1], truth[:, -1])
    found["misfit"] = (misfit(draws, VARIANTS[name][2][0]), misfit(truth, VARIANTS[name][2][0]))
    return found


def misfit(tested, factor: float):
    """Squared residuals as the believed density weighs them, the noise's power taken out: whether
    images fit as well as they should."""
    log_power = tested[..., len(SHARED) - 1].astype(float)
    constant = 0.5 * IMAGES * GRID.size**2 * log_power
    return -2 * factor * np.exp(log_power) * (tested[..., -1] + constant)


def table(folder: Path):
    """Lines of the report."""
    for name in VARIANTS:
        if not (folder / f"{name}.npz").is_file():
            continue
        found = separate(name, folder)
        p = {n: rank_histogram(d, t) for n, (d, t) in found.items()}
        least = min(one.p_value for one in p.values())
        count = len(next(iter(found.values()))[1])
        yield f"\n## {name}: {count} simulations, smallest p times {len(p)}: {len(p) * least:.2g}"
        yield "\n| quantity | p of χ² (10 bins) | 90 % interval covers |\n|---|---|---|"
        for n, (d, t) in found.items():
            low, high = np.sort(d, axis=1)[:, [4, 94]].T  # of 99 draws: 90 of the 100 ranks
            yield f"| {n} | {p[n].p_value:.3g} | {np.mean((low <= t) & (t <= high)):.3f} |"


def main() -> None:
    """Run what is named, in that order."""
    folder, *names = sys.argv[1:]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or [*VARIANTS, "table"]:
        if name == "table":
            print("\n".join(table(folder)))
        else:
            simulated(name, folder)


if __name__ == "__main__":
    main()
