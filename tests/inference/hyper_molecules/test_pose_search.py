"""Scores of rotations against densities of rendered images, and what is kept of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import render
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes
from cryojax_het.inference.hyper_molecules.pose_search import (
    Sought,
    over_poses,
    refined,
    search,
    spread_equations,
)

from .small_world import BALL, GRID

COUNT, KEEP = 5, 4
KNOWN = Contrast(jnp.ones(()), jnp.zeros(()))


@pytest.fixture(scope="module")
def problem(seen):
    """EM, coefficients, nodes, a few images, and rotations with the true ones among them."""
    molecule = seen.molecule
    em = ExactEM(BALL, molecule.functions, jnp.ones(molecule.coefficients.shape), KNOWN)
    few = jax.tree.map(lambda x: x[:COUNT], seen.batch)
    others = jax.vmap(so3.random)(jax.random.split(jax.random.key(3), 12))
    rotations = jnp.concatenate([others, few.latents.rotation])
    nodes = Nodes.over(molecule.functions, 7)
    return em, molecule, nodes, Sought(few, seen.noise, GRID), rotations


@pytest.fixture(scope="module")
def found(problem):
    em, molecule, nodes, sought, rotations = problem
    return eqx.filter_jit(search)(em, molecule.coefficients, nodes, sought, rotations, KEEP)


def test_scores_are_densities_of_rendered_nodes(problem, found):
    _, molecule, nodes, (batch, noise, _), rotations = problem

    def one(image, latents, optics):
        def at(rotation, z):
            put = (z, rotation, jnp.ones(()))
            own = eqx.tree_at(lambda t: (t.conformation, t.rotation, t.contrast), latents, put)
            view = render(molecule, own, optics, GRID)
            return noise.log_prob(image, view, GRID) - noise.log_prob(image, 0 * image, GRID)

        return jax.vmap(lambda r: jax.vmap(lambda z: at(r, z))(nodes.latents))(rotations)

    gain = np.asarray(jax.jit(jax.vmap(one))(batch.images, batch.latents, batch.optics))
    every = logsumexp(gain, axis=2) - np.log(7)
    np.testing.assert_allclose(found.log_likelihood, -np.sort(-every, axis=1)[:, :KEEP], atol=1e-4)
    best = np.asarray(rotations)[np.argsort(-every, axis=1)[:, :KEEP]]
    np.testing.assert_array_equal(found.rotation, best)


def test_refinement_starts_from_what_is_kept_and_never_loses(problem, found):
    em, molecule, nodes, sought, _ = problem
    run = eqx.filter_jit(refined)
    finer = run(em, molecule.coefficients, nodes, sought, found, jnp.asarray(0.05))
    assert finer.rotation.shape == found.rotation.shape
    assert (finer.log_likelihood[:, 0] >= found.log_likelihood[:, 0] - 1e-9).all()
    same = run(em, molecule.coefficients, nodes, sought, found, jnp.asarray(0.0))
    np.testing.assert_allclose(
        same.log_likelihood, np.repeat(found.log_likelihood[:, :1], KEEP, axis=1), atol=1e-6
    )


def test_belief_over_poses_weighs_beliefs_at_each(problem, found):
    em, molecule, nodes, sought, _ = problem
    equations = eqx.filter_jit(spread_equations)(em, sought, found.rotation)
    belief = eqx.filter_jit(em.belief)(equations, molecule.coefficients, nodes)
    each = np.asarray(found.log_likelihood)
    np.testing.assert_allclose(belief.log_likelihood.reshape(COUNT, KEEP), each, atol=1e-4)
    posed = over_poses(belief, KEEP)
    weight = np.exp(each - logsumexp(each, axis=1, keepdims=True))
    np.testing.assert_allclose(jnp.exp(posed.log_pose), weight, atol=1e-4)
    np.testing.assert_allclose(posed.moments[0], weight.reshape(-1, 1) * belief.first, atol=1e-3)
    np.testing.assert_allclose(logsumexp(posed.log_node, axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(
        posed.log_likelihood, logsumexp(each, axis=1) - np.log(KEEP), atol=1e-4
    )


def test_magnified_images_are_refused(problem):
    em, molecule, nodes, sought, rotations = problem
    wide = jnp.broadcast_to(1.01 * jnp.eye(2), (COUNT, 2, 2))
    batch = eqx.tree_at(
        lambda b: b.optics.magnification, sought.batch, wide, is_leaf=lambda x: x is None
    )
    with pytest.raises(ValueError, match="without anisotropic magnification"):
        search(em, molecule.coefficients, nodes, sought._replace(batch=batch), rotations, KEEP)
