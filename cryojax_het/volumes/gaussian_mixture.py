"""A rigid molecule of Gaussians of a few widths, sliced exactly."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..imaging.grid import FourierGrid
from .gaussians import Gaussians, gaussian_density
from .mixture import AbstractMixture, Change
from .separable import half_plane, separable_sum
from .wave_packets import plane_waves

_MOST_WIDTHS = 32  # classes: each costs a pass over the plane of its own


class GaussianMixture(AbstractMixture):
    """`V(r) = Σ_c Σ_{j in c} a_j N(r; c_j, s_c²)`: classes `c` of Gaussians of one width.

    Class by class the sum is one of bare plane waves, a matrix product, damped afterwards by
    `exp(-2π²s_c²|Lᵀk|²)`: cheaper than damping each atom's waves, and exact under a magnification.

    - `sizes`: Gaussians in each class; the first `sizes[0]` are of width `widths[0]`, and so on.
      `by_width` gives such an order.

    Positions and widths (standard deviations) in Å, amplitudes in density·Å³. Raises `ValueError`
    where sizes do not add up to the Gaussians, or are not as many as widths.
    """

    positions: Float[Array, "j 3"]
    amplitudes: Float[Array, " j"]
    widths: Float[Array, " c"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    chunk: int = eqx.field(static=True, default=512)  # atoms per product: bounds the memory
    latent_size: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if sum(self.sizes) != len(self.amplitudes) or len(self.sizes) != len(self.widths):
            raise ValueError(
                f"`sizes` must add up to the {len(self.amplitudes)} Gaussians and be as many as "
                f"the {len(self.widths)} widths. Got {self.sizes}."
            )

    def slice(self, latent, rotation, grid):
        del latent
        frame, half = rotation[:2] / grid.length, grid.size // 2
        gram = rotation[:2] @ rotation[:2].T
        kx, ky = grid.kx, grid.ky[:, None]
        square = gram[0, 0] * kx**2 + 2 * gram[0, 1] * ky * kx + gram[1, 1] * ky**2
        total = jnp.zeros((), self.amplitudes.dtype)
        for width, rows in zip(self.widths, self._classes(), strict=True):
            columns = jnp.column_stack([self.positions[rows], self.amplitudes[rows]])
            plane = half_plane(_quarters(columns, frame, half, self.chunk))
            total = total + jnp.exp(-2 * jnp.pi**2 * width**2 * square) * plane
        return total * jnp.asarray(grid.inside(), self.amplitudes.dtype)

    def density(self, latent, grid):
        del latent
        return gaussian_density(self.positions, self.amplitudes, self.each_width(), grid)

    def prepare(self, grid):
        return self

    def changed(self, change: Change) -> "GaussianMixture | Gaussians":
        """Where widths change there are as many as Gaussians, and no classes."""
        if change.width is not None:
            single = Gaussians(
                positions=self.positions,
                amplitudes=self.amplitudes,
                widths=self.each_width(),
                chunk=self.chunk,
            )
            return single.changed(change)
        amplitudes = self.amplitudes
        if change.amplitude is not None:
            amplitudes = amplitudes * jnp.exp(change.amplitude)
        return GaussianMixture(
            positions=self.positions + change.displacement,
            amplitudes=amplitudes,
            widths=self.widths,
            sizes=self.sizes,
            chunk=self.chunk,
        )

    def each_width(self) -> Float[Array, " j"]:
        """The width of each Gaussian, Å."""
        return jnp.repeat(self.widths, np.array(self.sizes), total_repeat_length=sum(self.sizes))

    def _classes(self):
        ends = [0, *itertools.accumulate(self.sizes)]
        return [slice(a, b) for a, b in itertools.pairwise(ends)]


def by_width(
    positions: Float[np.ndarray, "j 3"],
    amplitudes: Float[np.ndarray, " j"],
    widths: Float[np.ndarray, " j"],
) -> tuple[GaussianMixture, Int[np.ndarray, " j"]]:
    """Gaussians grouped by width, and which of those given each of the mixture's is.

    Raises `ValueError` for more than 32 different widths: round them, or use `Gaussians`.
    """
    distinct, place, sizes = np.unique(widths, return_inverse=True, return_counts=True)
    if len(distinct) > _MOST_WIDTHS:
        raise ValueError(
            f"A mixture has at most {_MOST_WIDTHS} classes of width. Got {len(distinct)} widths: "
            "round them, or use `Gaussians`."
        )
    order = np.argsort(place, kind="stable")
    mixture = GaussianMixture(
        positions=jnp.asarray(positions[order]),
        amplitudes=jnp.asarray(amplitudes[order]),
        widths=jnp.asarray(distinct),
        sizes=tuple(sizes.tolist()),
    )
    return mixture, order


def _quarters(columns, frame, half, chunk):
    """Sums over atoms of frequencies >= 0; `columns` are (x, y, z, amplitude)."""
    mix = jax.scipy.linalg.block_diag(frame, jnp.ones((1, 1), frame.dtype))

    def factors(rows):
        x_turns, y_turns, amplitudes = jnp.matmul(mix, rows.T, precision="highest")
        return plane_waves(half, y_turns) * amplitudes, plane_waves(half, x_turns)

    return separable_sum(columns, factors, half, chunk)


def example(key, grid: FourierGrid) -> GaussianMixture:
    """Forty Gaussians in two classes; found by the law tests."""
    return GaussianMixture(
        positions=0.09 * grid.length * jax.random.normal(key, (40, 3)),
        amplitudes=jnp.linspace(0.5, 1.5, 40),
        widths=grid.pixel_size * jnp.array([1.6, 2.0]),
        sizes=(18, 22),
        chunk=16,
    )
