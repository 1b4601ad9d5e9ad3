import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import render
from cryojax_het.inference import devices
from cryojax_het.inference.chain_diagnostics import bulk_size, r_hat
from cryojax_het.inference.gibbs.block import Place, World
from cryojax_het.inference.gibbs.linear_parameters import (
    ByLinearity,
    LinearParameters,
    normal_draw,
    scale_name,
)
from cryojax_het.inference.gibbs.local_moves import LocalMoves
from cryojax_het.inference.gibbs.noise_power import ColouredNoisePower, WhiteNoisePower
from cryojax_het.inference.gibbs.parameter_trajectory import ParameterTrajectory
from cryojax_het.inference.gibbs.prior_scale import PriorScale
from cryojax_het.inference.gibbs.sampler import Gibbs, GibbsState
from cryojax_het.inference.gibbs.starts import starts_from_grid, starts_from_modes
from cryojax_het.inference.joint import log_likelihood
from cryojax_het.inference.marginal_latents import LatentNodes
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton

from ..blobs import GRID, world
from ..normal_world import MEAN, exact, linear_world

COEFFICIENTS = "volume.coefficients"


@eqx.filter_jit
def sampled(world, blocks, key, chains=8, sweeps=1000, extra=None):
    values = world.joint.values(world.joint.start()) | (extra or {})
    starts = starts_from_grid(key, world, values, LatentNodes.even((21,)), 8, chains)
    moves = LocalMoves(starts.mixture, starts.variance)
    sampler = Gibbs((moves, *blocks), warmup=100)
    spread = jax.tree.map(lambda x: jnp.broadcast_to(x, (chains, *x.shape)), values)
    state = sampler.begin(key, world, spread, starts.begin)
    state, _ = sampler.advance(world, state, 100)
    return sampler.advance(world, state, sweeps)[1]


def test_a_linear_world_is_sampled_as_its_closed_form():
    world = linear_world(jax.random.key(0))
    draws = sampled(world, (LinearParameters.by_linearity(MEAN),), jax.random.key(1))
    free = (draws.values[MEAN][..., 0] - 1) / 0.5
    both = np.swapaxes(np.concatenate([free, draws.scaled[..., 0]], axis=-1), 0, 1)
    mean, covariance = map(np.asarray, exact(world))
    size, width = bulk_size(both), np.sqrt(np.diag(covariance))
    assert r_hat(both).max() < 1.01
    flat = both.reshape(-1, both.shape[-1])
    assert np.abs((flat.mean(axis=0) - mean) / (width / np.sqrt(size))).max() < 4
    found = np.cov(flat.T) / np.outer(width, width)
    wanted = covariance / np.outer(width, width)
    assert np.abs(found - wanted).max() < 5 * np.sqrt(2 / size.min())


def test_normal_equations_by_linearity_are_those_of_the_likelihood():
    joint, batch, truth, scaled = world(jax.random.key(3), names=(COEFFICIENTS, "noise.power"))
    held, place = World.of(joint, batch, GRID), Place(truth, scaled)
    prior = joint.priors[COEFFICIENTS]

    def misfit(flat):
        at = joint.prepared({**truth, COEFFICIENTS: prior.value(flat.reshape(3, 2))}, GRID)
        latents = joint.latents(scaled, held.widths, batch.latents)
        one = lambda y, l, o: at.noise.log_prob(y, render(at.volume, l, o, GRID), GRID)
        return -jax.vmap(one)(batch.images, latents, batch.optics).sum()

    zero = jnp.zeros(6)
    wanted = jax.jit(jax.hessian(misfit))(zero), -jax.jit(jax.grad(misfit))(zero)
    for chunk in (4, 6):
        found = eqx.filter_jit(ByLinearity(COEFFICIENTS, chunk).sums)(held, place)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_a_normal_draw_has_its_mean_and_covariance():
    root = jax.random.normal(jax.random.key(0), (3, 3))
    precision, right = root @ root.T + jnp.eye(3), jnp.arange(3.0)
    draw = lambda key: normal_draw(key, precision, right)
    draws = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), 40_000))
    np.testing.assert_allclose(draws.mean(axis=0), jnp.linalg.solve(precision, right), atol=0.02)
    np.testing.assert_allclose(jnp.cov(draws.T), jnp.linalg.inv(precision), atol=0.02)


def test_noise_is_drawn_from_its_inverse_gamma():
    joint, batch, truth, scaled = world(jax.random.key(4), names=(COEFFICIENTS, "noise.power"))
    held, block, place = World.of(joint, batch, GRID), WhiteNoisePower(), Place(truth, scaled)
    draw = lambda key: block.move(key, held, place, (), jnp.asarray(False))[0].values["noise.power"]
    powers = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), 4000))
    at = lambda f: joint.prepared({**truth, "noise.power": jnp.exp(f)}, GRID)
    latents = joint.latents(scaled, held.widths, batch.latents)

    def density(f):
        m = at(f)
        one = lambda y, l, o: m.noise.log_prob(y, render(m.volume, l, o, GRID), GRID)
        total = jax.vmap(one)(batch.images, latents, batch.optics).sum()
        return total + joint.priors["noise.power"].log_prob(f)

    f = jnp.linspace(-0.5, 0.5, 2001) + jnp.log(powers.mean())
    weight = jax.nn.softmax(jax.jit(jax.vmap(density))(f))
    mean = weight @ f
    width = jnp.sqrt(weight @ (f - mean) ** 2)
    assert float(jnp.log(powers).mean()) == pytest.approx(float(mean), abs=4 * float(width) / 63)
    assert float(jnp.log(powers).std()) == pytest.approx(float(width), rel=0.05)


def test_coloured_noise_counts_shells_and_groups():
    joint, batch, *_ = world(jax.random.key(4))
    held, block = World.of(joint, batch, GRID), ColouredNoisePower(groups=1, shells=5)
    inside = np.asarray(GRID.weights()) * GRID.inside()
    assert float(block.freedom(held).sum()) == pytest.approx(6 * inside.sum())
    squares = jnp.broadcast_to(GRID.k_squared(), (6, 8, 5))
    found = np.asarray(block.misfit(held, squares))[0]
    shell = GRID.shells() == 3
    assert found[3] == pytest.approx(6 * float((GRID.k_squared() * shell * GRID.inside()).sum()))


def test_neither_stops_nor_devices_are_seen_in_the_draws():
    joint, batch, *_ = world(jax.random.key(5), names=(COEFFICIENTS, "noise.power"))
    held, key = World.of(joint, batch, GRID), jax.random.key(0)
    values = joint.values(joint.start()) | {scale_name(COEFFICIENTS): jnp.ones(())}
    starts = eqx.filter_jit(starts_from_grid)(key, held, values, LatentNodes.even((9,)), 4, 4)
    blocks = (LocalMoves(starts.mixture, starts.variance, chunk=3), WhiteNoisePower())
    blocks += (LinearParameters.by_linearity(COEFFICIENTS), PriorScale(COEFFICIENTS, 3.0, 2.0))
    sampler = Gibbs(blocks, warmup=4)
    spread = jax.tree.map(lambda x: jnp.broadcast_to(x, (4, *x.shape)), values)
    first = sampler.begin(key, held, spread, starts.begin)
    advance = eqx.filter_jit(sampler.advance)
    _, whole = advance(held, first, 8)
    state, one = advance(held, first, 4)
    _, two = advance(held, state, 4)
    for a, b, c in zip(*map(jax.tree.leaves, (one, two, whole)), strict=True):
        np.testing.assert_array_equal(jnp.concatenate([a, b]), c)
    chains = (first.values, first.scaled, first.tuning, first.key)
    over = GibbsState(*devices.spread(devices.data_mesh(), chains), first.count)
    _, elsewhere = advance(held, over, 4)
    assert len(elsewhere.scaled.sharding.device_set) == 4
    np.testing.assert_allclose(elsewhere.scaled, one.scaled, rtol=1e-9)
    assert np.isfinite(whole.log_likelihood).all()
    assert (np.asarray(whole.values[scale_name(COEFFICIENTS)]) > 0).all()


def test_exact_draws_are_refused_where_they_would_be_wrong():
    joint, batch, truth, scaled = world(jax.random.key(5))
    held, place = World.of(joint, batch, GRID), Place(truth, scaled)
    with pytest.raises(TypeError, match="InverseGammaPower"):
        WhiteNoisePower().start(held, place)
    with pytest.raises(TypeError, match="NormalParameters"):
        LinearParameters.by_linearity("noise.power").start(held, place)
    with pytest.raises(ValueError, match="must start with a value"):
        PriorScale(COEFFICIENTS, 3.0, 2.0).start(held, place)


def test_parameters_move_by_trajectories_as_they_are_drawn_exactly():
    held = linear_world(jax.random.key(0))
    by_trajectory = (ParameterTrajectory((MEAN,), leapfrogs=6),)
    draws = sampled(held, by_trajectory, jax.random.key(1), sweeps=800)
    free = np.swapaxes((np.asarray(draws.values[MEAN][..., 0]) - 1) / 0.5, 0, 1)
    mean, covariance = map(np.asarray, exact(held))
    width, size = np.sqrt(np.diag(covariance))[:3], bulk_size(free)
    flat = free.reshape(-1, 3)
    assert np.abs((flat.mean(axis=0) - mean[:3]) / (width / np.sqrt(size))).max() < 4
    np.testing.assert_allclose(flat.std(axis=0) / width, 1, atol=5 / np.sqrt(2 * size.min()))


def test_descents_find_where_a_normal_posterior_is():
    held = linear_world(jax.random.key(0))
    values = held.joint.values(held.joint.start())
    method = GaussNewton(starts=2, steps=6)
    starts = eqx.filter_jit(starts_from_modes)(jax.random.key(0), held, values, method, 3)
    assert starts.begin.shape == (3, 4, 1)
    best = starts.mixture.mean[:, 0, 0]
    at = held.joint.prepared(values, GRID)

    def slope(i):
        one = jax.tree.map(lambda x: x[i], held.batch)
        widths = jax.tree.map(lambda x: x[i], held.widths)
        density = held.joint.image(at, (one.images, one.latents, one.optics), widths, GRID)
        return jax.grad(lambda v: log_likelihood(density, v) - density.penalty(v))(best[i][None])

    assert float(jnp.abs(jax.jit(jax.vmap(slope))(jnp.arange(4))).max()) < 1e-5
