"""A rigid molecule of isotropic Gaussians, sliced exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .mixture import AbstractMixture, Change
from .separable import half_plane, separable_sum
from .wave_packets import wave_packets


class Gaussians(AbstractMixture):
    """`V(r) = Σ_j a_j N(r; c_j, s_j²)`, `N` of unit mass. Has no latent.

    Positions and widths (standard deviations) in Å, amplitudes in density·Å³. A slice is one matrix
    product, `E_y diag(a) E_xᵀ`, since `exp(-2πi k·c - 2π²s²k²)` splits over the axes.
    `GaussianMixture` is faster where few widths serve all atoms.
    """

    positions: Float[Array, "j 3"]
    amplitudes: Float[Array, " j"]
    widths: Float[Array, " j"]
    chunk: int = eqx.field(static=True, default=512)  # atoms per product: bounds the memory
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        del latent
        return slice_gaussians(self, rotation, grid)

    def density(self, latent, grid):
        del latent
        return gaussian_density(self.positions, self.amplitudes, self.widths, grid)

    def prepare(self, grid):
        return self

    def changed(self, change: Change) -> "Gaussians":
        factor = lambda values, log: values if log is None else values * jnp.exp(log)
        return Gaussians(
            positions=self.positions + change.displacement,
            amplitudes=factor(self.amplitudes, change.amplitude),
            widths=factor(self.widths, change.width),
            chunk=self.chunk,
        )


def gaussian_density(
    positions: Float[Array, "j 3"],
    amplitudes: Float[Array, " j"],
    widths: Float[Array, " j"],
    grid: FourierGrid,
) -> Float[Array, "n n n"]:
    """Voxels `[z, y, x]` of a sum of normal densities, centred: their values, not means."""
    n = grid.size
    r = (np.arange(n) - n // 2) * grid.pixel_size
    norm = jnp.sqrt(2 * jnp.pi) * widths
    profile = lambda c: jnp.exp(-((r[:, None] - c) ** 2) / (2 * widths**2)) / norm
    x, y, z = positions.T
    return jnp.einsum("zj,yj,xj,j->zyx", profile(z), profile(y), profile(x), amplitudes)


def slice_gaussians(gaussians: Gaussians, rotation, grid):
    """Central slice of a sum of Gaussians, `[y, x]`, in chunks of atoms."""
    inside = jnp.asarray(grid.inside(), gaussians.amplitudes.dtype)
    # Under a magnification |Lᵀk|² has a cross term kx·ky, which does not split; it is tiny, and the
    # mean width gives it exactly for equal widths.
    gram = rotation[:2] @ rotation[:2].T
    weight = jnp.abs(gaussians.amplitudes)
    total = jnp.sum(weight)
    # The inner where keeps the gradient of an empty molecule finite.
    mean_square = jnp.sum(weight * gaussians.widths**2) / jnp.where(total > 0, total, 1)
    cross = grid.ky[:, None] * grid.kx * gram[0, 1]
    common = inside * jnp.exp(-4 * jnp.pi**2 * mean_square * cross)
    return common * half_plane(_quarters(gaussians, rotation[:2] / grid.length, grid.size // 2))


def _quarters(gaussians, frame, half):
    """Sums over the atoms of frequencies >= 0; `frame` is turns per frequency step and Å."""

    # What a wave packet needs of an atom, as one small product of its columns: computed inside the
    # loop below, it would keep the compiler from filling vector registers.
    scale = 2 * jnp.pi**2 * jnp.sum(frame**2, axis=1)
    mix = jax.scipy.linalg.block_diag(frame, scale[:, None], jnp.ones((1, 1), frame.dtype))

    def factors(columns):
        x_turns, y_turns, x_decay, y_decay, amplitudes = jnp.matmul(
            mix, columns.T, precision="highest"
        )
        x = wave_packets(half, x_turns, x_decay)
        return wave_packets(half, y_turns, y_decay) * amplitudes, x

    columns = jnp.column_stack([gaussians.positions, gaussians.widths**2, gaussians.amplitudes])
    return separable_sum(columns, factors, half, gaussians.chunk)


def example(key, grid: FourierGrid) -> Gaussians:
    """Forty Gaussians of two widths; found by the law tests."""
    positions = 0.09 * grid.length * jax.random.normal(key, (40, 3))
    widths = grid.pixel_size * jnp.where(jnp.arange(40) % 2 == 0, 1.6, 2.0)
    amplitudes = jnp.linspace(0.5, 1.5, 40)
    return Gaussians(positions=positions, amplitudes=amplitudes, widths=widths, chunk=16)
