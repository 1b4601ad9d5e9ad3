"""A hinge of which neither poses nor latents are known, box 32: from random poses to both.

python unknown_poses.py [--seeds 5] [--snr 4] [--images 400] [--told]

Without shifts or transfer functions. First one rigid molecule of low frequencies from random
poses, the likeliest of several starts; then functions of the latent, higher frequencies and finer
rotations in turn. Poses are scored after one rotation of the molecule, or of its mirror image. The
same course from true poses, `--told`, and its last stage at them alone, say what could be had.
"""

import argparse
import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr
from world import RADIUS, SHARE, images, molecule

from cryojax_het.imaging import rotation as so3
from cryojax_het.inference.hyper_molecules.coefficient_prior import prior_variance
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes
from cryojax_het.inference.hyper_molecules.pose_search import (
    Sought,
    over_poses,
    refined,
    search,
    spread_equations,
)
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.prolate.basis import prolate_basis

FUNCTIONS = Legendre(3)
NODES = Nodes.over(FUNCTIONS, 15)
KNOWN = Contrast(jnp.ones(()), jnp.zeros(()))
GRIDS = {order: jnp.asarray(so3.uniform_grid(order), jnp.float32) for order in (1, 2)}


class Stage(NamedTuple):
    """Highest frequency, 1/Å; order in the latent; order of the grid of rotations; rotations kept;
    rounds of search; iterations of EM in each; steps of refinement after a search, degrees."""

    frequency: float
    order: int
    grid: int
    keep: int
    rounds: int
    inner: int
    steps: tuple[float, ...] = ()


START = Stage(0.10, 0, 1, 16, 8, 2)
COURSE = (
    Stage(0.14, 0, 2, 8, 3, 2),
    Stage(0.14, 1, 2, 8, 3, 10),
    Stage(0.19, 2, 2, 4, 2, 6, (7.0,)),
    Stage(0.25, 3, 2, 3, 2, 6, (7.0, 3.5)),
)


class At(NamedTuple):
    """Coefficients under a way of EM, and the belief they came from."""

    em: ExactEM
    coefficients: jax.Array
    rotation: jax.Array  # [b, h, 3, 3]
    belief: object


def sought_to(world, frequency):
    """The images up to a frequency."""
    size = min(2 * int(np.ceil(frequency * float(world.grid.length)) + 1), world.grid.size)
    cut = jax.vmap(lambda x: world.grid.crop_transform(x, size))(world.batch.images)
    return Sought(
        eqx.tree_at(lambda b: b.images, world.batch, cut), world.noise, world.grid.crop(size)
    )


@eqx.filter_jit
def solved(em, equations, moments):
    return em.coefficients(equations, moments)


@eqx.filter_jit
def believed(em, equations, a, count):
    return over_poses(em.belief(equations, a, NODES), count)


spread = eqx.filter_jit(spread_equations)
searched = eqx.filter_jit(search)
finer = eqx.filter_jit(refined)


def em_of(frequency, equations, moments):
    """EM up to a frequency, its prior from the consensus at poses believed in."""
    basis = prolate_basis(RADIUS, frequency, SHARE)
    trace = sum(jnp.einsum("b,bkk->", moments[1][:, 0, 0], g) for g in equations.gram)
    flat = jnp.full((basis.size, 1), 1e4 * basis.size / trace)
    first = ExactEM(basis, Legendre(0), flat, KNOWN)
    one = (moments[0][:, :1], moments[1][:, :1, :1])
    consensus = solved(first, equations, one)[:, 0]
    return ExactEM(basis, FUNCTIONS, prior_variance(basis, consensus, FUNCTIONS), KNOWN)


def of_frequency(frequency):
    """EM of which only the basis is looked at."""
    basis = prolate_basis(RADIUS, frequency, SHARE)
    return ExactEM(basis, FUNCTIONS, jnp.ones((basis.size, FUNCTIONS.count)), KNOWN)


def begun(world, rotation):
    """From one rotation for each image."""
    sought = sought_to(world, START.frequency)
    count, rotation = len(rotation), rotation[:, None]
    equations = spread(of_frequency(START.frequency), sought, rotation)
    moments = jnp.zeros((count, 4)).at[:, 0].set(1), jnp.zeros((count, 4, 4)).at[:, 0, 0].set(1)
    em = em_of(START.frequency, equations, moments).up_to(0)
    return rounds(At(em, solved(em, equations, moments), rotation, None), START, sought)


def rounds(at, stage, sought):
    """Searches, and EM at the rotations that they keep."""
    em, a, belief, rotation = at.em, at.coefficients, at.belief, at.rotation
    for _ in range(stage.rounds):
        found = searched(em, a, NODES, sought, GRIDS[stage.grid], stage.keep)
        for step in stage.steps:
            found = finer(em, a, NODES, sought, found, jnp.deg2rad(step))
        rotation = found.rotation
        equations = spread(em, sought, rotation)
        for _ in range(stage.inner):
            belief = believed(em, equations, a, stage.keep)
            a = solved(em, equations, belief.moments)
    return At(em, a, rotation, belief)


def continued(at, stage, world, key):
    """Under the next stage, from the rotations and latents believed in; a first function of the
    latent begins from random latents."""
    sought = sought_to(world, stage.frequency)
    equations = spread(of_frequency(stage.frequency), sought, at.rotation)
    moments = at.belief.moments
    if stage.order == 1:
        tau = jax.random.uniform(key, (len(world.latents), 1), minval=-1, maxval=1)
        value = jnp.repeat(jax.vmap(FUNCTIONS)(tau), at.rotation.shape[1], axis=0)
        weight = jnp.exp(at.belief.log_pose).reshape(-1, 1)
        moments = weight * value, weight[:, :, None] * value[:, :, None] * value[:, None]
    em = em_of(stage.frequency, equations, moments).up_to(stage.order)
    return rounds(At(em, solved(em, equations, moments), at.rotation, at.belief), stage, sought)


def known(world):
    """The last stage at the true poses, from the true latents: EM without a search."""
    stage, rotation = COURSE[-1], world.batch.latents.rotation[:, None]
    equations = spread(of_frequency(stage.frequency), sought_to(world, stage.frequency), rotation)
    value = jax.vmap(FUNCTIONS)(world.latents)
    moments = value, value[:, :, None] * value[:, None]
    em = em_of(stage.frequency, equations, moments).up_to(stage.order)
    a = solved(em, equations, moments)
    for _ in range(2 * stage.inner):
        belief = believed(em, equations, a, 1)
        a = solved(em, equations, belief.moments)
    return At(em, a, rotation, belief)


def pose_errors(found, truth):
    """Degrees, after the best rotation of the molecule, of it or of its mirror image."""
    best = None
    for mirror in (np.eye(3), np.diag([-1.0, -1.0, 1.0])):
        seen = mirror @ found
        turn = np.eye(3)
        weight = np.ones(len(seen))
        for _ in range(20):  # towards the turn of most, not of all
            u, _, vt = np.linalg.svd(np.einsum("b,bji,bjk->ik", weight, truth, seen))
            turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
            trace = np.einsum("bij,jk,bik->b", truth, turn, seen)
            error = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
            weight = 1 / np.maximum(error, 1.0)
        if best is None or np.median(error) < np.median(best):
            best = error
    return best


def scores(at, world):
    """|ρ| of the mean latent; pose errors, degrees; nats an image."""
    mean = np.asarray(jnp.exp(at.belief.log_node) @ NODES.latents[:, 0])
    rho = abs(spearmanr(mean, world.latents[:, 0]).statistic)
    best = np.asarray(at.rotation)[np.arange(len(mean)), np.argmax(at.belief.log_pose, axis=1)]
    error = pose_errors(best, np.asarray(world.batch.latents.rotation))
    return rho, error, float(at.belief.log_likelihood.mean())


def line(name, at, world, began):
    rho, error, value = scores(at, world)
    print(
        f"{name}: |rho| {rho:.3f}, pose error median {np.median(error):.1f}, "
        f"90 % {np.quantile(error, 0.9):.0f} degrees, {value:.2f} nats "
        f"({time.monotonic() - began:.0f} s)",
        flush=True,
    )


def main() -> None:
    """Lines for each seed, of data and of starts: after each stage."""
    made = argparse.ArgumentParser()
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--first", type=int, default=0)
    made.add_argument("--starts", type=int, default=2)
    made.add_argument("--images", type=int, default=400)
    made.add_argument("--snr", type=float, default=4.0)
    made.add_argument("--told", action="store_true")
    options = made.parse_args()
    for seed in range(options.first, options.first + options.seeds):
        world, began = images(molecule(), options.images, options.snr, seed, 32), time.monotonic()
        keys = jax.random.split(jax.random.key(100 + seed), options.starts + 1)
        draw = lambda key: jax.vmap(so3.random)(jax.random.split(key, options.images))
        each = []
        for key in keys[1:]:
            each.append(begun(world, draw(key)))
            line(f"seed {seed} start", each[-1], world, began)
        if options.told:
            at, last = known(world), COURSE[-1]
            line(f"seed {seed} poses known", at, world, began)
            at = rounds(at, last, sought_to(world, last.frequency))
            line(f"seed {seed} poses known, then searched for", at, world, began)
        ways = {"random": max(each, key=lambda x: float(x.belief.log_likelihood.sum()))}
        if options.told:
            ways["true"] = begun(world, world.batch.latents.rotation)
        for name, at in ways.items():
            line(f"seed {seed} {name} poses", at, world, began)
            for stage in COURSE:
                at = continued(at, stage, world, keys[0])
                line(f"seed {seed} {name} {stage.frequency} order {stage.order}", at, world, began)


if __name__ == "__main__":
    main()
