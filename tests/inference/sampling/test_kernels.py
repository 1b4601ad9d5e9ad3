"""Trajectories and jumps on targets in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_t

from cryojax_het.inference.chain_diagnostics import bulk_size
from cryojax_het.inference.posteriors.hamiltonian import Hamiltonian
from cryojax_het.inference.posteriors.no_u_turn import NoUTurn
from cryojax_het.inference.sampling.dual_averaging import StepSize
from cryojax_het.inference.sampling.kernels import Trajectory, Walker, accepted, leapfrog
from cryojax_het.inference.sampling.mixture import Jump, StudentMixture

KEY = jax.random.key(0)
MEAN = jnp.array([0.5, -1.0, 2.0])
COVARIANCE = jnp.array([[1.0, 0.5, 0.1], [0.5, 0.8, -0.2], [0.1, -0.2, 0.3]])


def gaussian(v):
    away = v - MEAN
    return 0.5 * away @ jnp.linalg.inv(COVARIANCE) @ away


def bent(v):
    """No Gaussian: its curvature changes from place to place."""
    return 0.5 * v @ v + 0.3 * jnp.sin(2 * v[0]) * v[1] + 0.1 * jnp.sum(v**4)


def test_leapfrog_runs_back_keeps_volume_and_errs_by_the_square_of_the_step():
    start, momentum = jnp.array([0.3, -0.8]), jnp.array([1.1, 0.4])
    inverse_mass = jnp.array([1.5, 0.7])

    @partial(jax.jit, static_argnums=3)
    def flow(point, momentum, step, count=12):
        end, last = leapfrog(bent, Walker.at(bent, point), momentum, step, inverse_mass, count)
        return end.point, last

    energy = lambda q, m: bent(q) + 0.5 * jnp.sum(inverse_mass * m**2)
    end, last = flow(start, momentum, 0.1)
    back, first = flow(end, -last, 0.1)
    np.testing.assert_allclose(back, start, atol=1e-12)
    np.testing.assert_allclose(first, -momentum, atol=1e-12)
    jacobian = jax.jacfwd(lambda x: jnp.concatenate(flow(x[:2], x[2:], 0.1)))(
        jnp.concatenate([start, momentum])
    )
    assert float(jnp.linalg.det(jacobian)) == pytest.approx(1, abs=1e-10)
    before = energy(start, momentum)
    ends = flow(start, momentum, 1e-1, 12), flow(start, momentum, 5e-2, 24)
    errors = [abs(energy(*end) - before) for end in ends]
    assert 3 < errors[0] / errors[1] < 5  # halving the step quarters the error


@pytest.fixture(scope="module")
def mixture():
    """Far from the targets on purpose: the moves must be right all the same."""
    means = jnp.stack([MEAN + 0.5, jnp.zeros(3)])
    return StudentMixture.of(
        jnp.log(jnp.array([2.0, 1.0])), means, jnp.stack([COVARIANCE, 2 * jnp.eye(3)])
    )


def test_the_mixture_has_scipys_density_and_draws_by_it(mixture):
    student = lambda v, mean, shape: multivariate_t.pdf(v, np.asarray(mean), shape, df=4)
    expected = lambda v: (
        2 / 3 * student(v, MEAN + 0.5, np.asarray(COVARIANCE))
        + 1 / 3 * student(v, np.zeros(3), 2 * np.eye(3))
    )
    draws = jax.jit(jax.vmap(mixture.sample))(jax.random.split(KEY, 20_000))
    density = np.exp(jax.jit(jax.vmap(mixture.log_prob))(draws))
    np.testing.assert_allclose(density[:50], expected(np.asarray(draws[:50])), rtol=1e-9)
    # Importance weights towards a normal density have mean 1, and give its moments.
    weight = np.exp(-jax.vmap(gaussian)(draws)) / density
    weight /= np.sqrt(np.linalg.det(2 * np.pi * COVARIANCE))
    error = weight.std() / np.sqrt(len(weight))
    assert abs(weight.mean() - 1) < 4 * error
    np.testing.assert_allclose(weight @ np.asarray(draws) / len(draws), MEAN, atol=0.05)


def one_step(kernel, potential, points):
    """Each of `points` after one move of `kernel`."""
    keys = jax.random.split(jax.random.key(3), len(points))
    move = lambda k, x: kernel.move(k, potential, Walker.at(potential, x))[0].point
    return np.asarray(jax.jit(jax.vmap(move))(keys, points))


def test_moves_are_balanced_in_detail(mixture):
    """From draws of the target, as many go from a region `A` to a region `B` as from `B` to `A`,
    and what is left is the target. The step is long, so that many moves are refused."""
    unit = jax.random.normal(jax.random.key(2), (40_000, 3))
    points = MEAN + unit @ jnp.linalg.cholesky(COVARIANCE).T
    for kernel in (Trajectory(jnp.asarray(0.55), jnp.ones(3), 3), Jump(mixture)):
        after = one_step(kernel, gaussian, points)
        before = np.asarray(points)
        assert 0.2 < (after != before).any(axis=1).mean() < 0.95
        error = np.sqrt(np.diagonal(COVARIANCE) / len(points))
        assert (np.abs(after.mean(axis=0) - MEAN) < 4 * error).all()
        np.testing.assert_allclose(np.cov(after.T), COVARIANCE, atol=0.03)
        for low, high in ((MEAN[0] - 0.8, MEAN[0] + 0.4), (MEAN[0], MEAN[0] + 1)):
            up = np.count_nonzero((before[:, 0] < low) & (after[:, 0] > high))
            down = np.count_nonzero((before[:, 0] > high) & (after[:, 0] < low))
            assert up > 100
            assert abs(up - down) < 4 * np.sqrt(up + down)


def test_where_the_potential_is_not_a_number_no_walker_goes():
    walled = lambda v: jnp.where(v[0] > 0, 0.5 * v @ v, jnp.nan)
    points = jnp.abs(jax.random.normal(KEY, (200, 1)))
    after = one_step(Trajectory(jnp.asarray(0.5), jnp.ones(1), 4), walled, points)
    assert (after > 0).all()
    assert (after != np.asarray(points)).any()
    walker = Walker.at(walled, points[0])
    assert accepted(KEY, jnp.asarray(jnp.nan), walker, walker)[1] == 0


def test_dual_averaging_finds_the_step_of_the_acceptance_wanted():
    """Of a made-up law of acceptance, `exp(-ε)`: 0.7 at `ε = 0.357`."""

    def after(_, tuning):
        return tuning.after(jnp.exp(-jnp.exp(tuning.log_step)), 0.7)

    tuned = jax.lax.fori_loop(0, 3000, after, StepSize.starting(jnp.asarray(3.0)))
    assert float(jnp.exp(tuned.log_average)) == pytest.approx(-np.log(0.7), rel=0.02)


SAMPLERS = [
    pytest.param(Hamiltonian(chains=4, warmup=150, draws=500, leapfrogs=8), id="hmc"),
    pytest.param(NoUTurn(chains=4, warmup=150, draws=500, depth=4), id="nuts"),
]


def never(size):
    """A mixture so far away that no jump from it is ever accepted."""
    return StudentMixture.of(jnp.zeros(1), jnp.full((1, size), 1e4), jnp.eye(size)[None])


def walk(sampler, potential, begin, mixture):
    size = begin.shape[1]
    return jax.jit(lambda key: sampler.walk(key, potential, begin, jnp.ones(size), mixture))(KEY)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_moments_of_a_normal_target_without_the_help_of_jumps(sampler):
    """To three standard errors of Monte Carlo, by the effective number of draws."""
    path = walk(sampler, gaussian, jnp.zeros((4, 3)), never(3))
    assert path.points.shape == (4, 500, 3)
    assert (path.jumped == 0).all()
    assert (path.divergences == 0).all()
    assert (path.acceptance > 0.6).all()
    points = np.asarray(path.points)
    error = np.sqrt(np.diagonal(COVARIANCE) / bulk_size(points))
    assert (np.abs(points.mean(axis=(0, 1)) - MEAN) < 3 * error).all()
    square = (points - np.asarray(MEAN)) ** 2
    error = square.std(axis=(0, 1)) / np.sqrt(bulk_size(square))
    assert (np.abs(square.mean(axis=(0, 1)) - np.diagonal(COVARIANCE)) < 3 * error).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_two_modes_that_no_trajectory_connects_get_their_weights(sampler):
    """`0.8 N(-6, 0.5²) + 0.2 N(6, 1)`, all chains begun in the lighter mode, and a mixture that
    takes both for equal."""

    def potential(v):
        first = jnp.log(0.8 / 0.5) - 0.5 * ((v[0] + 6) / 0.5) ** 2
        return -jnp.logaddexp(first, jnp.log(0.2) - 0.5 * (v[0] - 6) ** 2)

    modes = StudentMixture.of(
        jnp.zeros(2), jnp.array([[-6.0], [6.0]]), jnp.array([[[0.3]], [[0.8]]])
    )
    path = walk(sampler, potential, jnp.full((4, 1), 6.0), modes)
    heavy = np.asarray(path.points[..., 0] < 0, dtype=float)
    error = np.sqrt(0.16 / bulk_size(heavy))
    assert error < 0.03
    assert abs(heavy.mean() - 0.8) < 3 * error
    assert (path.jumped > 0.3).all()
    alone = walk(sampler, potential, jnp.full((4, 1), 6.0), never(1))
    assert (alone.points > 0).all()
