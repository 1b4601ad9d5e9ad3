"""What an image says of the coefficients of a basis, whatever the conformation.

    G_i = Re B_i* Λ⁻¹ B_i,   h_i = Re B_i* Λ⁻¹ y_i

`B_i` the images of the functions at contrast 1. Prolate functions of even and odd degree, real and
imaginary on a slice, do not mix: their `G` is two blocks. What is held is up to `k²` floats per
image: this is for small bases, and then it is exact and made once.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.prolate.spatial_basis import AbstractSpatialBasis
from ..linear_statistics import LinearStatistics, centred_image, image_power


class ImageEquations(eqx.Module):
    """Of each image, by blocks of the basis: `gram` `[b, k, k]`, `right` `[b, k]`; `<y, y>`."""

    gram: tuple[Float[Array, "*b _ _"], ...]
    right: tuple[Float[Array, "*b _"], ...]
    power: Float[Array, "*b"]

    def statistics(self, coefficients: Sequence[Float[Array, "_ p"]]) -> LinearStatistics:
        """Of the volumes with these coefficients, a column each; block by block."""
        product = lambda a, b: jnp.matmul(a, b, precision="highest")
        parts = list(zip(self.gram, self.right, coefficients, strict=True))
        gram = [product(a.T, product(g, a)) for g, _, a in parts]
        cross = [product(right, a) for _, right, a in parts]
        return LinearStatistics(sum(gram[1:], gram[0]), sum(cross[1:], cross[0]), self.power)


def image_equations(
    basis: AbstractSpatialBasis, noise: AbstractGaussianNoise, batch: Batch, grid: FourierGrid
) -> ImageEquations:
    """Of each image of `batch`, at the poses of its latents; one after the other, so that the
    slices of the functions are held once."""
    inside = inside_circle(grid.size)

    def one(image_and_more):
        image, latents, optics = image_and_more
        right, left = centred_image(image, latents.shift, optics, noise, grid)
        points = grid.plane(optics.frame(latents.rotation))[inside]
        gram, side = basis.normal(points, left[inside], right[inside])
        return ImageEquations(gram, side, image_power(image, optics, noise, grid))

    return jax.lax.map(one, (batch.images, batch.latents, batch.optics))
