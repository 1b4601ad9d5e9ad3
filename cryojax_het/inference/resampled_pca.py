"""Principal volumes from the scatter of resampled reconstructions.

Images are dealt to G groups, alike in their views. A resample weights the groups at random,
`w_g ~ Exp(1)`; to first order its map departs from the mean map by `Σ_g (w_g - w̄) e_g`,

    e_g = Σ_{i∈g} A_i*Λ⁻¹(y_i - c_i A_i μ) / (L + 1/τ²),

so over all resamplings the maps have exactly the covariance `Σ_g (e_g - ē)(e_g - ē)ᵀ`: it needs no
draws, whose scatter would come on top. What noise adds to it is taken from images whose residuals'
signs are drawn anew for each frequency, which keeps all power and no covariance.

Known to be blunt: the covariance of two frequencies is attenuated by how few slices hold both.
(Penczek, Yang, Frank & Spahn 2006, J. Struct. Biol. 154; Penczek, Kimmel & Spahn 2011,
Structure 19.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, PRNGKeyArray

from ..imaging.grid import FourierGrid, row_numbers
from ..imaging.image import Batch, render
from ..imaging.noise import AbstractGaussianNoise
from ..volumes.base import AbstractVolume
from .group_tables import GroupTables
from .updates import wiener
from .updates.normal_equations import NormalEquations


def balanced_groups(
    rotation: Float[np.ndarray, "n 3 3"], count: int, seed: int
) -> Int[np.ndarray, " n"]:
    """A group from 0 to `count` - 1 for each image: at random among the `count` images of nearest
    viewing directions, each in another group. A direction and its opposite are one."""
    direction = rotation[:, 2] * np.where(rotation[:, 2, 2:] < 0, -1, 1)
    bands = max(1, round(np.sqrt(len(rotation) / count)))
    band = np.minimum((direction[:, 2] * bands).astype(int), bands - 1)
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    # Back and forth, so that the ends of bands meet their neighbours.
    order = np.lexsort([np.where(band % 2, -azimuth, azimuth), band])
    rng = np.random.default_rng(seed)
    blocks = -(-len(rotation) // count)
    dealt = np.concatenate([rng.permutation(count) for _ in range(blocks)])
    groups = np.zeros(len(rotation), np.int64)
    groups[order] = dealt[: len(rotation)]
    return groups


def residual_images(
    batch: Batch,
    mean: AbstractVolume,
    noise: AbstractGaussianNoise,
    contrast: tuple[Float[Array, ""], Float[Array, ""]],
    grid: FourierGrid,
) -> Batch:
    """The batch with `y - cAμ` as images, `c` each image's posterior mean, in its latents too.

    - `mean`: μ, prepared, without a latent; `contrast`: mean and width of its normal prior.
    """
    centre, width = contrast

    def one(image, latents, optics):
        unit = eqx.tree_at(lambda t: t.contrast, latents, jnp.ones_like(latents.contrast))
        model = render(mean, unit, optics, grid)
        precision = noise.of_group(optics.group).precision(grid)
        power = jnp.sum(precision * (model.real**2 + model.imag**2))
        cross = jnp.sum(precision * (model.real * image.real + model.imag * image.imag))
        share = width**2 / (1 + width**2 * power)
        amplitude = centre + share * (cross - centre * power)
        return image - amplitude * model, amplitude

    images, amplitude = jax.vmap(one)(batch.images, batch.latents, batch.optics)
    return eqx.tree_at(lambda b: (b.images, b.latents.contrast), batch, (images, amplitude))


def without_covariance(batch: Batch, key: PRNGKeyArray) -> Batch:
    """The batch with a random sign for each frequency of each image, conjugates alike."""
    n = batch.images.shape[1]
    same = np.abs(row_numbers(n)).astype(int)

    def one(image, index):
        real = image.real.dtype
        sign = jax.random.rademacher(jax.random.fold_in(key, index), image.shape, real)
        # Of the column kx = 0 both members of a conjugate pair are stored.
        return image * sign.at[:, 0].set(sign[same, 0])

    images = jax.vmap(one)(batch.images, batch.index)
    return eqx.tree_at(lambda b: b.images, batch, images)


def group_maps(
    tables: GroupTables, variance: Float[np.ndarray, " s"], mask: Float[Array, "n n n"]
) -> Float32[np.ndarray, "g n n n"]:
    """`e_g` of every group times `mask`.

    Filtered as all images warrant: a filter for the few images of a group would leave components
    without their finer half.

    - `variance`: `τ²` of what varies at each shell 0 to n//2, in (density·Å³)².
    """
    total = tables.sums(np.ones((1, len(tables))))[0]
    weights = np.asarray(wiener.shell_weights(tables.as_equations(total)))
    finer = (tables.kernel.padded_size(tables.size) / tables.size) ** 3
    prior = 1 / np.maximum(finer * variance * weights, 1e-6)
    spacing = jnp.asarray(tables.pixel_size, mask.dtype)

    @jax.jit
    def solve(table, prior):
        equations = NormalEquations(table, spacing, tables.size, tables.kernel)
        return wiener.solve(equations, prior) * mask

    maps = []
    for table in tables.tables:
        both = np.concatenate([table[..., :2], total[..., 2:]], axis=-1)
        both, ratio = (jnp.asarray(x, mask.dtype) for x in (both, prior))
        maps.append(np.asarray(solve(both, ratio), np.float32))
    return np.stack(maps)


def principal_directions(
    maps: Float[np.ndarray, "g n n n"], floor: Float[np.ndarray, "f n n n"], count: int
) -> Float[np.ndarray, "k n n n"]:
    """Orthonormal volumes along which the maps scatter most beyond what the floor's maps do.

    The leading eigenvectors of `E Eᵀ - F Fᵀ`, `E` the maps less their mean and `F` the floor, from
    the products of all maps with each other: no matrix of voxels by voxels exists.
    """
    centred = maps - maps.mean(axis=0)
    every = np.concatenate([centred, floor]).reshape(len(maps) + len(floor), -1)
    every = every.astype(np.float64)
    values, vectors = np.linalg.eigh(every @ every.T)
    kept = values > 1e-10 * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    # Floors of another number of maps would weigh by their number.
    signs = np.repeat([1.0, -len(maps) / len(floor)], [len(maps), len(floor)])
    turn = np.linalg.eigh(root.T @ (signs[:, None] * root))[1][:, ::-1][:, :count]
    basis = (vectors[:, kept] / np.sqrt(values[kept]) @ turn).T @ every
    return basis.reshape(-1, *maps.shape[1:]).astype(maps.dtype)
