"""Draws of images' latents against integrals on a grid, and against the prior where images say
nothing."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.chain_diagnostics import bulk_size, diagnose
from cryojax_het.inference.posteriors.draws import Chains
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton
from cryojax_het.inference.posteriors.hamiltonian import Hamiltonian
from cryojax_het.inference.posteriors.no_u_turn import NoUTurn
from cryojax_het.inference.posteriors.scaled_objective import ScaledObjective
from cryojax_het.inference.posteriors.unknowns import (
    ConformationAlone,
    ConformationPoseContrast,
)
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.sampling.mixture import StudentMixture

from .opening import images_of, opening

PRIOR = LocalPrior(np.deg2rad(3.0), 1.0, 1.0, 0.1)
KEY = jax.random.key(0)
NOISE = ColouredNoise(jnp.full((2, 9), 2000.0))
CONFORMATION = jnp.array([[1.0], [-0.8], [0.3], [1.6]])
ALONE = GaussNewton(ConformationAlone(), starts=4, steps=10)
SAMPLERS = [
    pytest.param(Hamiltonian(ALONE, warmup=150, draws=500, leapfrogs=6), id="hmc"),
    pytest.param(NoUTurn(ALONE, warmup=150, draws=500, depth=3), id="nuts"),
]


@pytest.fixture(scope="module")
def seen(tiny):
    volume = opening(0.3)
    return volume, images_of(tiny, volume, CONFORMATION, NOISE)


def log_joint(volume, batch, grid, z):
    """`log p(y, z)` of each image at each of `z`, all else as given."""

    def one(image, start, optics, z):
        latents = eqx.tree_at(lambda t: t.conformation, start, z[None])
        mean = render(volume, latents, optics, grid)
        likelihood = NOISE.of_group(optics.group).log_prob(image, mean, grid)
        return likelihood + PRIOR.log_prob(latents, start)

    every = jax.vmap(jax.vmap(one, (None, None, None, 0)), (0, 0, 0, None))
    return np.asarray(jax.jit(every)(batch.images, batch.latents, batch.optics, z))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_draws_have_the_exact_distribution_and_one_program_serves_all(tiny, seen, sampler):
    volume, batch = seen
    traces = []

    @eqx.filter_jit
    def run(key, batch):
        traces.append(1)
        return sampler.run(key, volume, NOISE, PRIOR, batch, tiny.grid)

    chains = run(KEY, batch)
    other = run(jax.random.key(9), eqx.tree_at(lambda b: b.images, batch, 1.1 * batch.images))
    assert len(traces) == 1
    assert (other.unknowns != chains.unknowns).all()
    z = np.linspace(-4, 4, 2001)
    log_p = log_joint(volume, batch, tiny.grid, jnp.asarray(z))
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    cdf = np.cumsum(p, axis=1) / p.sum(axis=1, keepdims=True)
    drawn = np.asarray(chains.unknowns[..., 0])
    # Both signs of z are believed in, by shares that differ.
    lighter = np.minimum(cdf[:, 1000], 1 - cdf[:, 1000])
    assert (lighter > 0.05).sum() >= 3
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        at = np.array([z[np.searchsorted(own, level)] for own in cdf])
        below = np.moveaxis(drawn < at[:, None, None], 0, 2).astype(float)
        error = np.sqrt(level * (1 - level) / bulk_size(below))
        assert (error < 0.03).all()
        assert (np.abs(below.mean(axis=(0, 1)) - level) < 4 * error).all()
    report = diagnose(chains)
    assert (report.r_hat < 1.02).all()
    assert (report.bulk > 400).all()
    assert (report.tail > 300).all()
    assert (report.divergences == 0).all()
    assert (report.jumped > 0.2).all()


def test_images_that_say_nothing_leave_the_prior(tiny, seen):
    """Conformation, pose and contrast, each of its own width."""
    volume, batch = seen
    silent = ColouredNoise(jnp.full((2, 9), 1e30))
    sampler = Hamiltonian(chains=2, warmup=60, draws=400, leapfrogs=6)
    unit = StudentMixture.of(jnp.zeros(1), jnp.zeros((1, 7)), jnp.eye(7)[None])

    def one(key, data):
        known = silent, PRIOR, volume
        objective = ScaledObjective.of(ConformationPoseContrast(), known, data, tiny.grid)
        begin = jnp.zeros((2, 7))
        path = sampler.walk(key, objective.objective, begin, jnp.ones(7), unit)
        return Chains.of(objective, path)

    keys = jax.random.split(KEY, 4)
    chains = jax.jit(jax.vmap(one))(keys, (batch.images, batch.latents, batch.optics))
    widths = np.r_[1, [np.deg2rad(3.0)] * 3, 1.0, 1.0, 0.1]
    scaled = np.moveaxis(np.asarray(chains.unknowns), 0, 2) / widths
    for moment, expected in ((scaled, 0), (scaled**2, 1)):
        error = moment.std(axis=(0, 1)) / np.sqrt(bulk_size(moment))
        away = np.abs(moment.mean(axis=(0, 1)) - expected) / error
        assert (away < 4).all()
        assert (away < 2).mean() > 0.8
    # Latents are the unknowns moved from where the batch starts; their mean is about there.
    belief = chains.draws()
    assert belief.latents.rotation.shape == (4, 800, 3, 3)
    turn = so3.log(chains.latents.rotation[1, 1, 7] @ batch.latents.rotation[1].T)
    np.testing.assert_allclose(turn, chains.unknowns[1, 1, 7, 1:4], atol=1e-9)
    near = jax.vmap(so3.geodesic)(belief.mean().rotation, batch.latents.rotation)
    assert (near < np.deg2rad(1.0)).all()
    mean, covariance = belief.moments()
    np.testing.assert_allclose(mean, belief.mean().conformation)
    np.testing.assert_allclose(covariance[:, 0, 0], 1, atol=0.3)
