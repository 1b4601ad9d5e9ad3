"""A rigid molecule of isotropic Gaussians, sliced exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .base import AbstractVolume


class Gaussians(AbstractVolume):
    """`V(r) = Σ_j a_j N(r; c_j, s_j²)`, `N` of unit mass. Has no latent.

    Positions and widths (standard deviations) in Å, amplitudes in density·Å³. A slice is one matrix
    product, `E_yᵀ diag(a) E_x`, since `exp(-2πi k·c - 2π²s²k²)` splits over the axes.
    """

    positions: Float[Array, "j 3"]
    amplitudes: Float[Array, " j"]
    widths: Float[Array, " j"]
    chunk: int = eqx.field(static=True, default=2048)  # atoms per product: bounds the memory
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        del latent
        return slice_gaussians(self, rotation, grid)

    def density(self, latent, grid):
        del latent
        n = grid.size
        r = (np.arange(n) - n // 2) * grid.pixel_size
        norm = jnp.sqrt(2 * jnp.pi) * self.widths
        profile = lambda c: jnp.exp(-((r[:, None] - c) ** 2) / (2 * self.widths**2)) / norm
        x, y, z = self.positions.T
        return jnp.einsum("zj,yj,xj,j->zyx", profile(z), profile(y), profile(x), self.amplitudes)

    def prepare(self, grid):
        return self


def slice_gaussians(gaussians: Gaussians, rotation, grid):
    """Central slice of a sum of Gaussians, `[y, x]`, in chunks of atoms."""
    inside = jnp.asarray(grid.inside(), gaussians.amplitudes.dtype)
    # Under a magnification |Lᵀk|² has a cross term kx·ky, which does not split; it is tiny, and the
    # mean width gives it exactly for equal widths.
    gram = rotation[:2] @ rotation[:2].T
    weight = jnp.abs(gaussians.amplitudes)
    mean_square = jnp.sum(weight * gaussians.widths**2) / jnp.sum(weight)
    cross = grid.ky[:, None] * grid.kx * gram[0, 1]
    common = inside * jnp.exp(-4 * jnp.pi**2 * mean_square * cross)
    terms = (gaussians.positions @ rotation[:2].T, gaussians.amplitudes, gaussians.widths**2)
    count = len(gaussians.amplitudes)
    if count <= gaussians.chunk:
        return common * _product(*terms, jnp.diagonal(gram), grid)
    padding = -count % gaussians.chunk
    padded = [jnp.pad(t, [(0, padding)] + [(0, 0)] * (t.ndim - 1)) for t in terms]
    chunks = [t.reshape(-1, gaussians.chunk, *t.shape[1:]) for t in padded]
    step = jax.checkpoint(lambda total, c: (total + _product(*c, jnp.diagonal(gram), grid), None))
    start = jnp.zeros((grid.size, grid.size // 2 + 1), jnp.result_type(terms[0], 1j))
    return common * jax.lax.scan(step, start, tuple(chunks))[0]


def _product(xy, amplitudes, squared_widths, gram, grid):
    """`Σ_j a_j e_j(ky) e_j(kx)`, with the complex product written as real ones."""
    x_cos, x_sin = _axis(grid.kx, xy[:, 0], squared_widths, gram[0])
    y_cos, y_sin = _axis(grid.ky, xy[:, 1], squared_widths, gram[1])
    y_cos, y_sin = y_cos * amplitudes, y_sin * amplitudes
    # (C + iS)_y (C + iS)_x as one real product of twice the width: BLAS at full speed.
    left = jnp.concatenate([y_cos, y_sin], axis=1)
    right = jnp.concatenate(
        [
            jnp.concatenate([x_cos, x_sin], axis=0),
            jnp.concatenate([-x_sin, x_cos], axis=0),
        ],
        axis=1,
    )
    both = jnp.matmul(left, right.T, precision="highest")
    columns = grid.size // 2 + 1
    return jax.lax.complex(both[:, :columns], both[:, columns:])


def _axis(k, centre, squared_width, gram):
    phase = -2 * jnp.pi * k[:, None] * centre
    envelope = jnp.exp(-2 * jnp.pi**2 * gram * squared_width * k[:, None] ** 2)
    return envelope * jnp.cos(phase), envelope * jnp.sin(phase)


def example(key, grid: FourierGrid) -> Gaussians:
    """Forty Gaussians of two widths; found by the law tests."""
    positions = 0.09 * grid.length * jax.random.normal(key, (40, 3))
    widths = grid.pixel_size * jnp.where(jnp.arange(40) % 2 == 0, 1.6, 2.0)
    return Gaussians(positions, jnp.linspace(0.5, 1.5, 40), widths, chunk=16)
