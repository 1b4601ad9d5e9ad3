"""What an image says of a linear volume, in a few numbers.

With `u_a = A_i V_a` the images of the volumes at contrast 1 and inner products weighted by the
noise's precision,

    G_ab = <u_a, u_b>,   b_a = <u_a, y>,   p = <y, y>

Latents, contrasts, their covariances and likelihoods are closed forms of these: a pass that gathers
them need not be repeated for another prior, or for fewer components.

Where the volumes are uncertain, of covariance `C` per shell, `G` is the mean over them,

    E G_ab = <u_a, u_b> + Σ_k w_i(k) C_ab(|k|),   w_i = precision · |transfer|²

as in the E-step of variational principal components (Bishop 1999, Proc. ICANN): latents are drawn
to 0 as far as volumes may owe them to the noise of the images.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, translate
from ..imaging.noise import AbstractGaussianNoise
from ..imaging.optics import Optics
from ..volumes.linear import FourierLinear


class LinearStatistics(eqx.Module):
    """Of each image: `gram` G, `cross` b and `power` p; the first volume is the mean."""

    gram: Float[Array, "*b c c"]
    cross: Float[Array, "*b c"]
    power: Float[Array, "*b"]

    def leading(self, count: int) -> "LinearStatistics":
        """Of the mean and the first `count` components alone."""
        kept = slice(0, count + 1)
        return LinearStatistics(self.gram[..., kept, kept], self.cross[..., kept], self.power)


def linear_statistics(
    volume: FourierLinear, noise: AbstractGaussianNoise, batch: Batch, grid: FourierGrid
) -> LinearStatistics:
    """Of each image of `batch`, at the poses of its latents; their contrast is not looked at."""
    shells = 0 if volume.covariance is None else len(volume.covariance)
    of_shell = grid.shells().ravel()[:, None] == np.arange(shells)

    def one(image, latents, optics):
        right, left = centred_image(image, latents.shift, optics, noise, grid)
        planes = volume.planes(optics.frame(latents.rotation), grid)
        # Real and imaginary parts as rows: both products are real matrix products.
        columns = jnp.swapaxes(planes, -1, -2).reshape(-1, planes.shape[-2])
        weight = jnp.repeat(left.ravel(), 2)[:, None]
        gram = jnp.matmul(columns.T, weight * columns, precision="highest")
        parts = jnp.stack([right.real, right.imag], axis=-1).reshape(-1)
        cross = jnp.matmul(parts, columns, precision="highest")
        if volume.covariance is not None:
            shares = jnp.matmul(left.ravel(), jnp.asarray(of_shell, left.dtype))
            gram = gram + jnp.tensordot(shares, volume.covariance, axes=1)
        return LinearStatistics(gram, cross, image_power(image, optics, noise, grid))

    return jax.vmap(one)(batch.images, batch.latents, batch.optics)


def image_power(
    image: Complex[Array, "y x"], optics: Optics, noise: AbstractGaussianNoise, grid: FourierGrid
) -> Float[Array, ""]:
    """`<y, y>`, weighted by the noise's precision."""
    precision = noise.of_group(optics.group).precision(grid)
    return jnp.sum(precision * (image.real**2 + image.imag**2))


def centred_image(
    image: Complex[Array, "y x"],
    shift: Float[Array, "2"],
    optics: Optics,
    noise: AbstractGaussianNoise,
    grid: FourierGrid,
) -> tuple[Complex[Array, "y x"], Float[Array, "y x"]]:
    """`precision · conj(transfer) · y`, its shift undone, and `precision · |transfer|²`: all that
    a slice at contrast 1 is held against."""
    transfer = optics.transfer(grid)
    precision = noise.of_group(optics.group).precision(grid)
    right = precision * jnp.conj(transfer) * translate(image, -shift, grid)
    return right, precision * jnp.abs(transfer) ** 2
