"""Draws of a hyper-molecule against the normal density of its coefficients, in float64."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.devices import data_mesh
from cryojax_het.inference.hyper_molecules.image_equations import image_equations
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes, drawn_on_nodes
from cryojax_het.inference.hyper_molecules.voxel_equations import solve_in_basis
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.updates.conjugate_gradients import Stopping
from cryojax_het.inference.updates.exact_blocks import ExactBlockEquations
from cryojax_het.inference.updates.hyper_molecule import HyperMoleculeUpdate
from cryojax_het.inference.updates.hyper_molecule_draws import HyperMoleculeSweep
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.latent_functions.interval import Legendre

from ..hyper_molecules.small_world import BALL, GRID, images

DRAWS = 300


@pytest.fixture(scope="module")
def seen():
    return images(60, snr=2.0)


@pytest.fixture(scope="module")
def ball(seen):
    return eqx.filter_jit(image_equations)(BALL, seen.noise, seen.batch, GRID)


def test_coefficients_have_mean_and_covariance_of_their_normal_density(seen, ball):
    """One node: the latent is known, and so is the contrast; draws are independent."""
    functions, node = Legendre(1), jnp.array([[0.3]])
    nodes = Nodes(node, jax.vmap(functions)(node))
    variance = jnp.full((BALL.size, 2), 50.0).at[::4, 1].set(0)
    contrast = Contrast(jnp.asarray(1.1), jnp.asarray(0.0))
    update = HyperMoleculeUpdate(
        BALL, functions, GRID, data_mesh(), cubic(), Stopping(tolerance=1e-4, limit=60)
    )
    mean = solved(update, seen, 1.1 * nodes.values[0], variance)
    sweep = HyperMoleculeSweep(update, nodes, variance)
    prior = LocalPrior(1.0, 1.0, *contrast)
    volume = update.volume(mean).expanded(GRID, cubic())
    model = Model(volume, seen.noise, prior, AsGiven())

    @eqx.filter_jit
    def drawn(key):
        start, move = jax.random.split(key)
        state, latents = sweep.step(model, sweep.begin(start), seen.batch, GRID, move)
        return sweep.end(state), latents.contrast

    draws = [drawn(key) for key in jax.random.split(jax.random.key(0), DRAWS)]
    found = np.stack([a for a, _ in draws])
    assert not found[:, ::4, 1].any()
    np.testing.assert_allclose(draws[0][1], 1.1)
    whole = posterior_covariance(ball, functions, variance)
    free = np.asarray(variance).T.ravel() > 0
    away = np.moveaxis(found - np.asarray(mean), 2, 1).reshape(DRAWS, -1)[:, free]
    factor = np.linalg.cholesky(whole[np.ix_(free, free)])
    white = np.linalg.solve(factor, away.T)
    # Standard normal numbers, DRAWS of each.
    assert np.abs(white.mean()) < 5 / np.sqrt(white.size)
    assert np.mean(white**2) == pytest.approx(1, abs=0.03)
    assert np.mean(white.mean(axis=1) ** 2) * DRAWS == pytest.approx(1, abs=0.5)


def solved(update, seen, weighted, variance):
    """The mean, by the equations of the images themselves: slices are interpolated here too."""
    count = len(seen.batch.index)
    moments = jnp.tile(weighted, (count, 1)), jnp.tile(jnp.outer(weighted, weighted), (count, 1, 1))

    @eqx.filter_jit
    def solve():
        empty = ExactBlockEquations.zeros(2, GRID.size, GRID.pixel_size, cubic())
        made = empty.add(seen.batch, seen.batch.latents, moments, seen.noise, GRID)
        zero = jnp.zeros_like(variance)
        return solve_in_basis(made, BALL, variance, zero, GRID, update.stopping).coefficients

    return solve()


def posterior_covariance(ball, functions, variance):
    """Over functions of the latent, then of space; infinite precision where nothing is free."""
    values = np.asarray(functions(jnp.array([0.3]))) * 1.1
    size = variance.shape[0]
    precision = np.zeros((2, size, 2, size))
    for gram, rows in zip(ball.gram, BALL.blocks(), strict=True):
        total = np.asarray(gram).sum(axis=0)
        block = np.einsum("p,q,kl->pkql", values, values, total)
        precision[np.ix_(range(2), rows, range(2), rows)] += block
    flat = precision.reshape(2 * size, -1)
    own = np.asarray(variance).T.ravel()
    return np.linalg.inv(flat + np.diag(1 / np.where(own > 0, own, 1e-12)))


def test_latents_and_contrasts_are_drawn_from_their_belief():
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 3))
    gram, cross = jnp.asarray(root @ root.T), jnp.asarray(rng.normal(size=3))
    nodes, contrast = Nodes.over(Legendre(2), 9), Contrast(jnp.asarray(1.0), jnp.asarray(0.4))
    keys = jax.random.split(jax.random.key(2), 20_000)
    draws = jax.jit(jax.vmap(lambda key: drawn_on_nodes(key, gram, cross, nodes, contrast)))(keys)
    # By brute force over node and contrast.
    c = np.linspace(-1.5, 3.5, 4001)
    along, power = nodes.values @ cross, np.einsum("gp,pq,gq->g", nodes.values, gram, nodes.values)
    log = c * np.asarray(along)[:, None] - 0.5 * c**2 * power[:, None]
    log = log - 0.5 * ((c - 1) / 0.4) ** 2
    joint = np.exp(log - log.max())
    joint /= joint.sum()
    counts = (draws.latent == nodes.latents.T).mean(axis=0)
    np.testing.assert_allclose(counts, joint.sum(axis=1), atol=0.015)
    mean = joint.sum(axis=0) @ c
    spread = np.sqrt(joint.sum(axis=0) @ (c - mean) ** 2)
    assert float(draws.contrast.mean()) == pytest.approx(mean, abs=5 * spread / np.sqrt(20_000))
    assert float(draws.contrast.std()) == pytest.approx(spread, rel=0.03)
