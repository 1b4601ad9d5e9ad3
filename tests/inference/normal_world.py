"""A world in which parameters and latents are jointly normal, with its closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp

from cryojax_het.imaging.image import render
from cryojax_het.inference.gibbs.block import World
from cryojax_het.inference.joint import Joint, choose
from cryojax_het.inference.parameter_prior import NormalParameters
from cryojax_het.volumes.linear import LinearVolume

from .blobs import GRID, Blobs, centres, world

MEAN = "volume.mean.coefficients"


def linear_world(key, images=4):
    """A mean that is unknown, one component that is known, latents: all jointly normal."""
    joint, batch, _, _ = world(key, images=images)
    mean = Blobs(jnp.ones((3, 1)), centres(3), 0)
    component = Blobs(jnp.array([[[0.8], [-0.5], [0.3]]]), centres(3)[None], 0)
    model = eqx.tree_at(lambda m: m.volume, joint.model, LinearVolume(mean, component, 1))
    prior = {MEAN: NormalParameters(jnp.ones((3, 1)), jnp.asarray(0.5))}
    return World.of(Joint(model, choose(model, MEAN), prior), batch, GRID)


@eqx.filter_jit
def exact(world):
    """Mean and covariance of (free coordinates, latents) by the normal equations of everything."""
    n = len(world.batch.index)

    def whitened(x):
        at = world.joint.prepared(world.joint.values({MEAN: x[:3, None]}), GRID)
        latents = world.joint.latents(x[3:, None], world.widths, world.batch.latents)
        one = lambda l, o: at.noise.whiten(render(at.volume, l, o, GRID), GRID)
        return jax.vmap(one)(latents, world.batch.optics).ravel()

    zero = jnp.zeros(3 + n)
    columns = jax.jacfwd(whitened)(zero)
    noise = world.joint.model.noise
    seen = jax.vmap(lambda image: noise.whiten(image, GRID))(world.batch.images).ravel()
    covariance = jnp.linalg.inv(columns.T @ columns + jnp.eye(3 + n))
    return covariance @ columns.T @ (seen - whitened(zero)), covariance
