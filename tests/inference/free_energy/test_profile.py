"""Posteriors of profiles: against quadrature for two nodes, and a random walk in NumPy for six."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.free_energy.no_u_turn import NoUTurnSampler
from cryojax_het.inference.free_energy.path_models import OnPath, WithOffPath, centred
from cryojax_het.inference.free_energy.priors import (
    DirichletPrior,
    PublishedPrior,
    RandomWalkPrior,
)
from cryojax_het.inference.free_energy.profile import leave_one_out, sample_profile

SAMPLER = NoUTurnSampler(chains=4, warmup=300, draws=400, depth=6)


def drawn(population, count, seed=0, spread=1.0):
    """`ℓ` of images that see their node with normal errors of `spread` nodes."""
    rng = np.random.default_rng(seed)
    nodes = len(population)
    seen = rng.choice(nodes, count, p=population) + spread * rng.normal(size=count)
    return -0.5 * ((seen[:, None] - np.arange(nodes)) / spread) ** 2


@pytest.fixture(scope="module")
def two_nodes():
    """`ℓ` of 60 images, and the profile."""
    ell = drawn([0.8, 0.2], 60)
    model = OnPath.of(jnp.asarray(ell), RandomWalkPrior())
    return ell, sample_profile(jax.random.key(0), model, SAMPLER)


def test_bands_and_reported_energies(two_nodes):
    found = two_nodes[1]
    low, high = found.band()
    assert found.mean().min() == pytest.approx(0)
    assert np.all(low < found.mean())
    assert np.all(found.mean() < high)
    share = np.mean((low <= found.draws()) & (found.draws() <= high), axis=0)
    np.testing.assert_allclose(share, 0.9, atol=0.01)


def test_two_nodes_against_quadrature(two_nodes):
    ell, found = two_nodes
    g = np.linspace(-12, 12, 20001)  # G_2 - G_1
    p = 1 / (1 + np.exp(-g))  # of the first
    terms = np.log(np.exp(ell[:, :1]) * p + np.exp(ell[:, 1:]) * (1 - p)).sum(axis=0)
    terms += -1.5 * np.log(0.05 + 0.5 * g**2)
    density = np.exp(terms - terms.max())
    density /= density.sum()
    draws = found.population[..., 0].ravel()
    error = np.sqrt((density * p**2).sum() - (density @ p) ** 2)
    assert draws.mean() == pytest.approx(density @ p, abs=5 * error / np.sqrt(400))
    assert draws.std() == pytest.approx(error, rel=0.15)
    assert found.r_hat.max() < 1.03
    assert found.counts.sum() == pytest.approx(60)


def metropolis(ell, log_prior, bound, steps=40000, seed=0):
    """Random walk over profiles of sum zero, in NumPy: what cryo-BIFE does. `-log p` of draws."""
    rng = np.random.default_rng(seed)
    nodes = ell.shape[1]
    likelihood = np.exp(ell - ell.max(axis=1, keepdims=True))

    def value(g):
        if np.abs(g).max() > bound:
            return -np.inf
        p = np.exp(-g)
        return np.log(likelihood @ (p / p.sum())).sum() + log_prior(g)

    g = 0.1 * rng.normal(size=nodes)
    g -= g.mean()
    now, kept = value(g), []
    for step in range(steps):
        move = 0.25 * rng.normal(size=nodes)
        new = g + move - move.mean()
        there = value(new)
        if np.log(rng.uniform()) < there - now:
            g, now = new, there
        if step > steps // 6 and step % 10 == 0:
            kept.append(g)
    kept = np.array(kept)
    return kept + np.log(np.exp(-kept).sum(axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("prior", "log_prior", "bound"),
    [
        (
            RandomWalkPrior(),
            lambda g: -(1 + (len(g) - 1) / 2) * np.log(0.05 + 0.5 * (np.diff(g) ** 2).sum()),
            np.inf,
        ),
        (PublishedPrior(2.5), lambda g: -2 * np.log((np.diff(g) ** 2).sum()), 2.5),
    ],
    ids=["random walk", "published"],
)
def test_six_nodes_against_a_random_walk_in_numpy(prior, log_prior, bound):
    ell = drawn([0.25, 0.1, 0.05, 0.1, 0.3, 0.2], 150, spread=0.6)
    found = sample_profile(jax.random.key(1), OnPath.of(jnp.asarray(ell), prior), SAMPLER)
    ours = -np.log(found.population.reshape(-1, 6))
    theirs = metropolis(ell, log_prior, bound)
    spread = theirs.std(axis=0)
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.25 * spread.max())
    np.testing.assert_allclose(ours.std(axis=0), spread, rtol=0.25)


def test_dirichlet_weights_against_the_conjugate_posterior():
    """Images that tell their node leave a Dirichlet posterior."""
    counts = np.array([30, 8, 2])
    ell = np.where(np.repeat(np.arange(3), counts)[:, None] == np.arange(3), 0.0, -60.0)
    prior = DirichletPrior(jnp.ones(3))
    found = sample_profile(jax.random.key(2), OnPath.of(jnp.asarray(ell), prior), SAMPLER)
    draws = found.population.reshape(-1, 3)
    mean = (counts + 1) / (counts + 1).sum()
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.01)
    np.testing.assert_allclose(draws.std(axis=0), np.sqrt(mean * (1 - mean) / 44), rtol=0.15)


def test_share_off_the_path():
    rng = np.random.default_rng(4)
    ell = drawn([0.5, 0.2, 0.3], 300)
    ell[:60] = -20.0  # of nothing on the path
    null = np.full(300, -6.0) + 0.1 * rng.normal(size=300)
    model = WithOffPath.of(jnp.asarray(ell), jnp.asarray(null), RandomWalkPrior())
    found = sample_profile(jax.random.key(3), model, SAMPLER)
    low, high = np.quantile(found.off_path, (0.01, 0.99))
    assert low < 0.2 < high
    assert found.counts.sum() == pytest.approx(300 * (1 - found.off_path.mean()), rel=1e-6)
    assert len(found.r_hat) == 4


def test_a_node_without_images_is_not_missed_and_a_full_one_is():
    ell = drawn([0.6, 0.0, 0.4], 60, spread=0.4)
    found = list(leave_one_out(jax.random.key(0), ell, RandomWalkPrior(), SAMPLER))
    falls = np.array([one.fall for one in found])
    assert falls.argmin() == 1
    assert abs(falls[1]) < 1
    assert min(falls[0], falls[2]) > 10
    assert np.isnan(found[1].free_energy[1])
    assert found[1].free_energy[2] == pytest.approx(np.log(0.6 / 0.4), abs=0.7)
    with pytest.raises(ValueError, match="three nodes"):
        next(leave_one_out(jax.random.key(0), ell[:, :2], RandomWalkPrior(), SAMPLER))


def test_centring_takes_any_level_of_a_row():
    ell = drawn([0.5, 0.5], 10)
    moved = ell + 1e5 * np.arange(10)[:, None]
    ratio, level = centred(jnp.asarray(moved))
    np.testing.assert_allclose(ratio.mean(axis=1), 1, rtol=1e-9)
    np.testing.assert_allclose(np.log(ratio) + level[:, None], moved, rtol=1e-12, atol=1e-6)
