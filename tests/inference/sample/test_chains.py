import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpyro.infer import NUTS
from numpyro.infer.util import log_density

from cryojax_het.inference.chain_diagnostics import bulk_size, r_hat
from cryojax_het.inference.marginal_latents import LatentNodes
from cryojax_het.inference.sample.chains import KernelChains, scattered
from cryojax_het.inference.sample.model import joint_model, marginal_model, sites
from cryojax_het.inference.sample.subsampled import SubsampledChains, maximum
from cryojax_het.inference.sample.variational import fitted
from cryojax_het.inference.sampling.stochastic_gradient import (
    Langevin,
    Subsampled,
    UnderdampedLangevin,
)

from ..blobs import GRID
from ..normal_world import MEAN, exact, linear_world

SITE = f"free {MEAN}"


def started(world, chains, latents=True):
    start = sites(world.joint, world.joint.start())
    start |= {"latents": world.widths.centre} if latents else {}
    return scattered(jax.random.key(3), start, chains)


class Together(LatentNodes):
    """Compiled as one: NumPyro begins by running a model piece by piece, each a program."""

    evidence = eqx.filter_jit(LatentNodes.evidence)


def agrees(draws, mean, covariance, spread=5.0):
    """Means and covariances of draws `[chain, draw, q]`, within their own Monte Carlo error."""
    size, width = bulk_size(draws), np.sqrt(np.diag(covariance))
    assert r_hat(draws).max() < 1.01
    flat = draws.reshape(-1, draws.shape[-1])
    assert np.abs((flat.mean(axis=0) - mean) / (width / np.sqrt(size))).max() < 4
    away = (np.cov(flat.T) - covariance) / np.outer(width, width)
    assert np.abs(away).max() < spread * np.sqrt(2 / size.min())


def test_nuts_of_everything_is_the_closed_form_and_goes_on_unseen():
    world = linear_world(jax.random.key(0))
    program = KernelChains(NUTS(joint_model(world.joint, GRID)), (world.batch,), warmup=200)
    state = eqx.filter_jit(program.begin)(jax.random.key(1), started(world, 4))
    advance = eqx.filter_jit(program.advance)
    state, _ = advance(state, 200)
    middle, first = advance(state, 200)
    _, second = advance(middle, 200)
    _, whole = advance(state, 400)
    for a, b, c in zip(*map(jax.tree.leaves, (first, second, whole)), strict=True):
        np.testing.assert_array_equal(jnp.concatenate([a, b]), c)
    parts = [whole.sites[SITE][..., 0], whole.sites["latents"][..., 0]]
    draws = np.swapaxes(np.concatenate(parts, axis=-1), 0, 1)
    mean, covariance = map(np.asarray, exact(world))
    agrees(draws, mean, covariance)
    assert not whole.diverging.any()


def marginal(world):
    """Mean and covariance of the parameters, and the potential of each part."""
    joint, nodes = world.joint, Together.even((15,), 4.0)
    values = lambda f: joint.values({MEAN: f[:, None]})

    def image(f, i):
        model = joint.prepared(values(f), GRID)
        batch, widths = jax.tree.map(lambda x: x[i][None], (world.batch, world.widths))
        return -nodes.evidence(joint, model, batch, widths, GRID)[0]

    prior = lambda f: -joint.log_prior({MEAN: f[:, None]})
    return nodes, prior, image


@pytest.fixture(scope="module")
def marginalised():
    """A world of eight images, its closed form of the parameters, and the maximum."""
    world = linear_world(jax.random.key(0), images=8)
    mean, covariance = (np.asarray(x)[..., :3] for x in exact(world))
    nodes, prior, image = marginal(world)
    every = jnp.arange(8)
    potential = lambda f: prior(f) + jax.vmap(lambda i: image(f, i))(every).sum()
    best = jax.jit(lambda f: maximum(potential, f, 6))(jnp.zeros(3))
    return world, nodes, Subsampled.about(prior, image, best, 8, 4), (mean, covariance[:3])


def test_subsampling_is_the_closed_form(marginalised):
    world, nodes, target, (mean, covariance) = marginalised
    np.testing.assert_allclose(target.reference, mean, atol=1e-4)
    model = marginal_model(world.joint, GRID, nodes, subsample=4)
    given, best = (world.batch,), {SITE: target.reference[:, None]}
    program = SubsampledChains.of(model, given, best, 2, 80)
    state = program.begin(jax.random.key(1), started(world, 2, latents=False))
    _, draws = eqx.filter_jit(program.advance)(state, 1200)
    agrees(np.swapaxes(np.asarray(draws.sites[SITE][80:, ..., 0]), 0, 1), mean, covariance)


@pytest.mark.parametrize(("kind", "scale"), [(Langevin, 3.0), (UnderdampedLangevin, 0.2)])
def test_stochastic_gradients_are_near_the_closed_form(marginalised, kind, scale):
    _, _, target, (mean, covariance) = marginalised
    method = kind(jnp.diag(jnp.asarray(covariance)), scale, 100.0)
    run = jax.jit(jax.vmap(lambda key: method.chain(key, target, target.reference, 2500)))
    found = np.asarray(run(jax.random.split(jax.random.key(2), 4)))[:, 300:].reshape(-1, 3)
    width = np.sqrt(np.diag(covariance))
    assert np.abs((found.mean(axis=0) - mean) / width).max() < 0.2
    assert np.abs(found.std(axis=0) / width - 1).max() < 0.15


def test_variational_density_of_a_normal_posterior_and_its_bounds():
    world = linear_world(jax.random.key(0))
    start = {SITE: jnp.zeros((3, 1)), "latents": jnp.zeros((4, 1))}
    model = joint_model(world.joint, GRID)
    # In one program: each of the many small ones would be compiled.
    fit = jax.jit(lambda key, x: fitted(key, model, (world.batch,), x, steps=1500, draws=400))
    found = fit(jax.random.key(1), start)
    mean, covariance = map(np.asarray, exact(world))
    draws = np.asarray(found.draws[SITE])[..., 0]
    width = np.sqrt(np.diag(covariance))[:3]
    assert np.abs((draws.mean(axis=0) - mean[:3]) / width).max() < 0.3
    flat, restore = ravel_pytree(start)
    assert float(found.bounds.weighted) >= float(found.bounds.evidence) - 0.05
    at = lambda x: log_density(model, (world.batch,), {}, restore(x))[0]
    assert flat.shape == mean.shape
    peak = float(jax.jit(at)(jnp.asarray(mean))) + 0.5 * len(mean) * np.log(2 * np.pi)
    truth = peak + 0.5 * np.linalg.slogdet(covariance)[1]
    assert float(found.bounds.weighted) == pytest.approx(truth, abs=0.2)
    assert float(found.bounds.evidence) <= truth + 0.05
