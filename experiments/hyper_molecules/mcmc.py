"""Gibbs sampling of a hyper-molecule: calibration by simulation, and effective draws per second.

    python mcmc.py sbc right|double_noise|even_weights SIMULATIONS
    python mcmc.py rate IMAGES

Coefficients, latents and the noise's variance are drawn from their priors, images at known poses
simulated, and all sampled from a start that EM finds. `τ` and `-τ` with the signs of odd terms are
one model: what is ranked does not change with that sign. One program for all simulations.
"""

import sys
import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents
from cryojax_het.imaging.noise import AbstractGaussianNoise, WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.chain_diagnostics import bulk_size, r_hat, tail_size
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM
from cryojax_het.inference.hyper_molecules.exact_gibbs import ExactGibbs, GibbsDraw
from cryojax_het.inference.hyper_molecules.image_equations import ImageEquations, image_equations
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.prolate.basis import prolate_basis

GRID = FourierGrid(8, 2.5)
BASIS, FUNCTIONS, NODES = prolate_basis(6.0, 0.2, 0.5), Legendre(2), 41
POWER, SHAPE = 40.0, 20.0  # of the noise; of the inverse gamma that multiplies it
IMAGES, WARM, DRAWS, KEPT = 60, 150, 594, 99
VARIANCE = jnp.asarray((1.0 + FUNCTIONS.orders()) ** -4.0) * jnp.ones((BASIS.size, 1))
TESTED = ("a00", "a40", "a72", "a01²", "‖a1‖²", "log v", "τ²", "a01 τ", "τ² of another", "log p")


class EvenWeights(AbstractGaussianNoise):
    """A planted bug: coefficients of the half-plane count once."""

    right: WhiteNoise

    def of_group(self, group):
        return self

    def variance(self, grid):
        return self.right.variance(grid)

    def precision(self, grid):
        return self.right.precision(grid) / grid.weights()

    def log_prob(self, observed, mean, grid):
        return -0.5 * jnp.sum(self.whiten(observed - mean, grid) ** 2)

    def whiten(self, residual, grid):
        scaled = residual * jnp.sqrt(self.precision(grid))
        return jnp.concatenate([scaled.real.ravel(), scaled.imag.ravel()])

    def sample(self, key, mean, grid):
        return self.right.sample(key, mean, grid)


ASSUMED = {
    "right": WhiteNoise(POWER),
    "double_noise": WhiteNoise(2 * POWER),
    "even_weights": EvenWeights(WhiteNoise(POWER)),
}


class Truth(NamedTuple):
    """What was drawn, and the images."""

    draw: GibbsDraw
    batch: Batch


def simulated(key, count: int) -> Truth:
    """Everything from its prior."""
    keys = jax.random.split(key, 5)
    a = jnp.sqrt(VARIANCE) * jax.random.normal(keys[0], VARIANCE.shape)
    tau = jax.random.uniform(keys[1], (count, 1), minval=-1, maxval=1)
    v = SHAPE / jax.random.gamma(keys[2], SHAPE)
    rotation = jax.vmap(so3.random)(jax.random.split(keys[3], count))
    molecule = HyperMolecule(a, BASIS, FUNCTIONS)
    noise = WhiteNoise(POWER * v)

    def one(key, tau, rotation):
        return noise.sample(key, molecule.slice(tau, rotation, GRID), GRID)

    images = jax.vmap(one)(jax.random.split(keys[4], count), tau, rotation)
    latents = Latents(0 * tau, rotation, jnp.zeros((count, 2)), jnp.ones(count))
    optics = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), Optics.ideal())
    batch = Batch(images, optics, latents, jnp.arange(count), jnp.ones(count))
    return Truth(GibbsDraw(a, tau, jnp.ones(count), v), batch)


def sampler() -> ExactGibbs:
    """Contrast known."""
    known = Contrast(jnp.ones(()), jnp.zeros(()))
    em = ExactEM(BASIS, FUNCTIONS, VARIANCE, known)
    return ExactGibbs(em, Nodes.over(FUNCTIONS, NODES), SHAPE, GRID.size**2)


def started(key, gibbs: ExactGibbs, equations: ImageEquations):
    """EM from random latents, functions of first order before all."""
    a = gibbs.em.random_start(key, equations)
    for order, steps in ((1, 15), (2, 15)):
        em = gibbs.em.up_to(order)

        def body(_, a, em=em):
            belief = em.belief(equations, a, gibbs.nodes)
            return em.coefficients(equations, (belief.first, belief.second))

        a = jax.lax.fori_loop(0, steps, body, a)
    return a


def quantities(draw: GibbsDraw, equations: ImageEquations):
    """What is ranked, of one draw."""
    a, tau = draw.coefficients, draw.latents[:, 0]
    values = jax.vmap(FUNCTIONS)(draw.latents)
    found = equations.statistics([a[rows] for rows in BASIS.blocks()])
    cross = jnp.sum(values * found.cross)
    misfit = jnp.sum(found.power) - 2 * cross
    misfit = misfit + jnp.einsum("bp,bpq,bq->", values, found.gram, values)
    own = [a[0, 0], a[4, 0], a[7, 2], a[0, 1] ** 2, jnp.sum(a[:, 1] ** 2), jnp.log(draw.variance)]
    numbers = GRID.size**2 * len(tau)
    log_p = -0.5 * misfit / draw.variance - 0.5 * numbers * jnp.log(draw.variance)
    return jnp.stack([*own, tau[0] ** 2, a[0, 1] * tau[0], tau[1] ** 2, log_p])


def one_simulation(assumed: AbstractGaussianNoise):
    """Ranks of the truth among draws, whether 90 % intervals cover, `R-hat` of halves."""
    gibbs = sampler()

    def run(key):
        keys = jax.random.split(key, 4)
        truth = simulated(keys[0], IMAGES)
        equations = image_equations(BASIS, assumed, truth.batch, GRID)
        draws = gibbs.run(keys[2], equations, started(keys[1], gibbs, equations), WARM + DRAWS)
        draws = jax.tree.map(lambda x: x[WARM :: DRAWS // KEPT], draws)
        # Nodes stand for cells.
        cell = jax.random.uniform(keys[3], draws.latents.shape, minval=-1, maxval=1) / NODES
        draws = draws._replace(latents=draws.latents + cell)
        each = jax.lax.map(lambda d: quantities(d, equations), draws)
        return jnp.sum(each < quantities(truth.draw, equations), axis=0)

    return run


def sbc(name: str, count: int) -> None:
    """A table of p-values and coverage."""
    run = eqx.filter_jit(lambda keys: jax.lax.map(one_simulation(ASSUMED[name]), keys))
    began = time.process_time()
    ranks = np.asarray(run(jax.random.split(jax.random.key(11), count)))
    seconds = time.process_time() - began
    print(f"## {name}: {count} simulations, {seconds / count:.2f} CPU s each\n")
    print("| quantity | p of χ² (10 bins) | 90 % interval covers | counts |\n|---|---|---|---|")
    smallest = 1.0
    for number, quantity in enumerate(TESTED):
        counts, _ = np.histogram(ranks[:, number], bins=10, range=(0, KEPT + 1))
        value = chi2.sf(np.sum((counts - count / 10) ** 2) / (count / 10), 9)
        smallest = min(smallest, value)
        inside = np.mean((ranks[:, number] >= 5) & (ranks[:, number] < 95))
        print(f"| {quantity} | {value:.3g} | {inside:.3f} | {' '.join(map(str, counts))} |")
    print(f"\nSmallest p times {len(TESTED)}: {smallest * len(TESTED):.2g}\n", flush=True)


def rate(images: int) -> None:
    """Gibbs and NUTS on one set of images, from one start."""
    gibbs = sampler()
    truth = eqx.filter_jit(simulated)(jax.random.key(5), images)
    made = eqx.filter_jit(lambda b: image_equations(BASIS, ASSUMED["right"], b, GRID))
    equations = made(truth.batch)
    start = eqx.filter_jit(lambda key: started(key, gibbs, equations))(jax.random.key(6))
    chains, draws = 4, 1000
    run = jax.jit(jax.vmap(lambda key: gibbs.run(key, equations, start, 2 * draws)))
    keys = jax.random.split(jax.random.key(7), chains)
    compiled = run.lower(keys).compile()
    began = time.process_time()
    found = jax.block_until_ready(compiled(keys))
    seconds = time.process_time() - began
    kept = jax.tree.map(lambda x: np.asarray(x[:, draws:]), found)
    print(f"{images} images, {BASIS.size * 3} coefficients, {chains} chains\n")
    print("| sampler | CPU s, warm-up in it | R-hat | ESS, least | ESS/s |\n|---|---|---|---|---|")
    report("blocks, each exact", seconds, kept.coefficients, np.log(kept.variance))
    report("NUTS of everything", *nuts(gibbs, equations, start, chains))


def nuts(gibbs, equations, start, chains):
    """NumPyro's NUTS of the same density: coefficients in units of their prior's widths."""
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import MCMC, NUTS

    width = jnp.sqrt(VARIANCE)

    def model():
        a = width * numpyro.sample("a", dist.Normal(0, 1).expand(VARIANCE.shape).to_event())
        v = numpyro.sample("v", dist.InverseGamma(SHAPE, SHAPE))
        tau = numpyro.sample(
            "tau", dist.Uniform(-1, 1).expand((len(equations.power), 1)).to_event()
        )
        found = equations.statistics([a[rows] for rows in BASIS.blocks()])
        values = jax.vmap(FUNCTIONS)(tau)
        misfit = jnp.sum(found.power) - 2 * jnp.sum(values * found.cross)
        misfit = misfit + jnp.einsum("bp,bpq,bq->", values, found.gram, values)
        numbers = GRID.size**2 * len(equations.power)
        numpyro.factor("images", -0.5 * misfit / v - 0.5 * numbers * jnp.log(v))

    belief = gibbs.em.belief(equations, start, gibbs.nodes)
    tau = jnp.exp(belief.log_weight) @ gibbs.nodes.latents
    first = {"a": start / width, "v": jnp.ones(()), "tau": tau}
    chain = MCMC(
        NUTS(model, init_strategy=numpyro.infer.init_to_value(values=first)),
        num_warmup=500,
        num_samples=500,
        num_chains=chains,
        chain_method="vectorized",
        progress_bar=False,
    )
    chain.run(jax.random.key(8))  # compiles; and again, timed
    began = time.process_time()
    chain.run(jax.random.key(9))
    seconds = time.process_time() - began
    held = chain.get_samples(group_by_chain=True)
    return seconds, np.asarray(held["a"] * width), np.log(np.asarray(held["v"]))


def report(name, seconds, a, log_v) -> None:
    """A row."""
    shared = np.concatenate([a.reshape(*a.shape[:2], -1), log_v[..., None]], axis=-1)
    size = np.minimum(bulk_size(shared), tail_size(shared)).min()
    most = r_hat(shared).max()
    print(
        f"| {name} | {seconds:.1f} | {most:.3f} | {size:.0f} | {size / seconds:.1f} |", flush=True
    )


if __name__ == "__main__":
    if sys.argv[1] == "sbc":
        sbc(sys.argv[2], int(sys.argv[3]))
    else:
        rate(int(sys.argv[2]))
