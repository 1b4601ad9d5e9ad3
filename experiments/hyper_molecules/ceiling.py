"""What images tell of the latents at best: their exact posterior under the molecule they are of."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from world import Hinged, World

from cryojax_het.inference.hyper_molecules.nodes import Nodes
from cryojax_het.volumes.latent_functions.base import (
    AbstractLatentFunctions,
    mean_and_covariance,
)


def best_latents(
    world: World, volume: Hinged, functions: AbstractLatentFunctions, nodes: int
) -> tuple[np.ndarray, float]:
    """Mean latent of each image, poses known, and `log p(y) - log p(y | no particle)`, nats an
    image; `nodes` along each axis, over the range that `functions` are of."""
    grid, at = world.grid, Nodes.over(functions, nodes).latents

    def one(image_and_rotation):
        image, rotation = image_and_rotation
        views = jax.vmap(lambda z: volume.slice(z, rotation, grid))(at)
        precision = world.noise.precision(grid)
        gain = jnp.sum(
            precision * ((views.conj() * image).real - 0.5 * jnp.abs(views) ** 2), (1, 2)
        )
        total = jax.nn.logsumexp(gain)
        mean, _ = mean_and_covariance(functions, jnp.exp(gain - total), at)
        return mean, total - jnp.log(len(at))

    batch = world.batch
    mapped = eqx.filter_jit(lambda both: jax.lax.map(one, both))
    mean, gain = mapped((batch.images, batch.latents.rotation))
    return np.asarray(mean), float(gain.mean())
