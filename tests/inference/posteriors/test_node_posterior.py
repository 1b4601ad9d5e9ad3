"""Beliefs on nodes of an expanded volume against densities of images rendered at every node."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.hyper_molecules.nodes import Nodes
from cryojax_het.inference.posteriors.node_posterior import NodePosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.expanded import Expanded
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.linear import linear_of

COUNT = 8
FUNCTIONS = Legendre(2)
NODES = Nodes.over(FUNCTIONS, 7)
NOISE = ColouredNoise(jnp.stack([jnp.full(9, 4e3), jnp.full(9, 6e3)]))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def case(tiny):
    """An expanded volume and images whose latents have one coordinate."""
    mean = tiny.volume.density(jnp.zeros(0), tiny.grid)
    maps = jnp.stack([mean, 0.5 * jnp.roll(mean, 1, 0), 0.3 * jnp.roll(mean, 2, 1)])
    volume = Expanded(FUNCTIONS, linear_of(maps, tiny.grid.pixel_size, quadratic()))
    batch = tiny.batch(COUNT, noise=NOISE)
    return volume, eqx.tree_at(
        lambda b: b.latents.conformation, batch, jnp.zeros((COUNT, FUNCTIONS.latent_size))
    )


def infer(case, grid, width):
    volume, batch = case
    posterior, prior = NodePosterior(NODES), LocalPrior(0.05, 2.0, 1.0, width)
    run = eqx.filter_jit(lambda v, b: posterior.infer(KEY, v, NOISE, prior, b, grid))
    return run(volume, batch)


def test_weights_are_densities_of_rendered_nodes(case, tiny):
    """Of a contrast all but known."""
    belief, (volume, batch) = infer(case, tiny.grid, 1e-6), case
    ready = volume.prepare(tiny.grid)

    def one(latents, optics, image):
        at = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones(()))
        noise = NOISE.of_group(optics.group)
        put = lambda z: eqx.tree_at(lambda t: t.conformation, at, z)
        show = lambda z: render(ready, put(z), optics, tiny.grid)
        each = jax.vmap(lambda z: noise.log_prob(image, show(z), tiny.grid))(NODES.latents)
        return each - noise.log_prob(image, 0 * image, tiny.grid)

    gain = np.asarray(jax.jit(jax.vmap(one))(batch.latents, batch.optics, batch.images))
    total = logsumexp(gain, axis=1)
    np.testing.assert_allclose(belief.log_weight, gain - total[:, None], atol=1e-6)
    np.testing.assert_allclose(belief.log_likelihood, total - np.log(7), atol=1e-6)
    np.testing.assert_allclose(belief.latents.contrast, 1, atol=1e-6)


def test_an_image_is_inferred_on_its_own(case, tiny):
    volume, batch = case
    belief = infer(case, tiny.grid, 0.2)
    turned = jax.tree.map(lambda x: jnp.roll(x, 3, axis=0), batch)
    other = infer((volume, turned), tiny.grid, 0.2)
    for a, b in zip(jax.tree.leaves(other.mean()), jax.tree.leaves(belief.mean()), strict=True):
        np.testing.assert_allclose(a, jnp.roll(b, 3, axis=0), atol=1e-9)


def test_a_belief_keeps_shapes_and_poses(case, tiny):
    _, batch = case
    belief = infer(case, tiny.grid, 0.2)
    for latents in (belief.mean(), belief.sample(KEY)):
        for a, b in zip(jax.tree.leaves(latents), jax.tree.leaves(batch.latents), strict=True):
            assert a.shape == b.shape
            assert np.isfinite(a).all()
        np.testing.assert_array_equal(latents.rotation, batch.latents.rotation)
    np.testing.assert_allclose(jax.nn.logsumexp(belief.log_weight, axis=1), 0, atol=1e-9)
    assert (np.abs(belief.mean().conformation) <= 1).all()
    assert np.isin(belief.sample(KEY).conformation, NODES.latents).all()


def test_other_volumes_are_refused(case, tiny):
    _, batch = case
    with pytest.raises(TypeError, match="needs an `Expanded` volume"):
        infer((tiny.volume, batch), tiny.grid, 0.2)
