"""A latent of its own for every image, found with the model: an auto-decoder's."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...imaging.image import render
from ..posterior import AbstractPosterior, Gaussian
from ..requirements import gaussian_noise


class LatentTable(AbstractPosterior[Gaussian]):
    """`q(z_i) = N(t_i, (1 + J_iᵀ J_i)⁻¹)`: row `i` of a table, and how sharply the image bends the
    likelihood there, `J` being the slope of the whitened image by `z`.

    Poses and contrasts are as given; the prior of the conformation is standard normal. Rows are
    found by `AutoDecoding`. `TypeError` for noise that is not Gaussian. (Levy et al. 2022, NeurIPS;
    Punjani & Fleet 2023, Nat. Methods 20.)

    - `conformation`: the table, a row for each image of the data, by `Batch.index`.
    """

    conformation: Float[Array, "n d"]

    def infer(self, key, volume, noise, prior, batch, grid):
        del key, prior
        noise, ready = gaussian_noise(noise, "LatentTable"), volume.prepare(grid)

        def one(image, latents, optics, row):
            own = noise.of_group(optics.group)

            def whitened(z):
                there = eqx.tree_at(lambda t: t.conformation, latents, z)
                return own.whiten(image - render(ready, there, optics, grid), grid)

            slope = jax.jacfwd(whitened)(row)
            bend = jnp.matmul(slope.T, slope, precision="highest")
            covariance = jnp.linalg.inv(jnp.eye(len(row), dtype=row.dtype) + bend)
            return eqx.tree_at(lambda t: t.conformation, latents, row), covariance

        rows = self.conformation[batch.index]
        return Gaussian(*jax.vmap(one)(batch.images, batch.latents, batch.optics, rows))


def latent_table(
    key: PRNGKeyArray, images: int, latent_size: int, width: float = 0.1
) -> LatentTable:
    """One of normal rows of standard deviation `width`, DRGN-AI's."""
    return LatentTable(width * jax.random.normal(key, (images, latent_size), jnp.float32))
