"""Exact normal equations of several volumes at once, each image a known mixture of them.

As `block_equations`, without its diagonal approximation. For voxels `v_a` in a window,

    Σ_b K_ab * v_b + F*(v̂_a / τ_a²) = Σ_i h_ia A_i*Λ⁻¹y_i,
    K_ab(d) = Re Σ_i S_iab Σ_k w_i(k) exp(2πi d·ξ_i(k))

one convolution per pair of volumes, each made as `toeplitz` makes that of one volume. The system
is solved by conjugate gradients from the volumes of the pass before: however early they stop, the
penalised likelihood does not fall.

What is stored beyond `BlockEquations`: a table of `4 (n p)³ · q(q+1)/2` floats, `p` the kernel's
padding. An iteration costs `2q` transforms of `(2n)³`.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging.grid import inside_circle
from ...volumes.interpolation import MARGIN, circle_points, scatter_rows, taps
from ...volumes.kernel import Kernel
from ...volumes.voxels import table_frame, voxels_of_half_transform
from ..linear_statistics import centred_image
from . import wiener
from .block_equations import (
    AbstractBlockEquations,
    BlockSolution,
    inverse_of_cells,
    square_of_triangle,
)
from .conjugate_gradients import Stopping, conjugate_gradients
from .normal_equations import INT32
from .toeplitz import plane_wave_weights


@final
class ExactBlockEquations(AbstractBlockEquations):
    """For `count` volumes of `size` voxels `spacing` Å apart.

    - `right`: channels `Re B_a`, `Im B_a` in turn, for a volume of the box;
    - `weights`: the upper triangle of the weights, row by row, for a volume of twice the box.
    """

    right: Float[Array, "z y x c"]
    weights: Float[Array, "w v u t"]
    spacing: Float[Array, ""]
    count: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True)
    stopping: Stopping = eqx.field(static=True, default=Stopping(tolerance=1e-3, limit=25))

    @classmethod
    def zeros(cls, count, size, spacing, kernel):
        shape = table_shape(2 * size, count * (count + 1) // 2, kernel)
        if np.prod(shape, dtype=np.int64) >= INT32:
            raise ValueError(
                f"Exact equations for {count} volumes of {size} voxels a side need a table beyond "
                "2³¹ numbers: ask for fewer components, crop the images further, or solve the "
                "diagonal equations."
            )
        right = jnp.zeros(table_shape(size, 2 * count, kernel), spacing.dtype)
        weights = jnp.zeros(shape, spacing.dtype)
        return cls(
            right=right, weights=weights, spacing=spacing, count=count, size=size, kernel=kernel
        )

    def add(self, batch, latents, moments, noise, grid):
        def one(image, latent, optics, weight):
            right, left = centred_image(image, latent.shift, optics, noise, grid)
            return weight * right, weight * left, optics.frame(latent.rotation)

        right, left, rotation = jax.vmap(one)(batch.images, latents, batch.optics, batch.weight)
        rows, columns = np.nonzero(inside_circle(grid.size))
        right, left = right[:, rows, columns], left[:, rows, columns]

        def laid_down(table, cells):
            frame = jax.vmap(lambda r: table_frame(r, grid, self.spacing, table.shape[0]))(rotation)
            points = circle_points(frame, grid.size)
            first, taps_, sign = taps(points, table.shape[:3], self.kernel)
            return scatter_rows(cells(sign), first, taps_, table)

        def mixed(sign):
            pair = jnp.stack([right.real, right.imag * sign], axis=-1)
            return (pair[:, :, None, :] * moments[0][:, None, :, None]).reshape(*left.shape, -1)

        upper = np.triu_indices(self.count)
        square = moments[1][:, upper[0], upper[1]]
        tables = (
            laid_down(self.right, mixed),
            laid_down(self.weights, lambda _: left[..., None] * square[:, None, :]),
        )
        return eqx.tree_at(lambda e: (e.right, e.weights), self, tables)

    def plus(self, other: "ExactBlockEquations") -> "ExactBlockEquations":
        """The equations of both sets of images."""
        tables = lambda e: (e.right, e.weights)
        sums = [a + b for a, b in zip(tables(self), tables(other), strict=True)]
        return eqx.tree_at(tables, self, sums)

    def right_hand_side(self) -> Float[Array, "q n n n"]:
        """`Σ_i h_ia A_i*Λ⁻¹y_i` for voxels of unit spacing."""
        pairs = jnp.moveaxis(self.right, -1, 0).reshape(self.count, 2, *self.right.shape[:3])
        back = lambda t: voxels_of_half_transform(
            jax.lax.complex(t[0], t[1]), self.size, self.kernel
        )
        return jax.lax.map(back, pairs)

    def convolutions(self) -> Float[Array, "t m m m"]:
        """`K_ab(d)` of the upper triangle, `d = 0` at voxel `[n, n, n]`."""

        def back(table):
            real = jax.lax.complex(table, table * 0)
            voxels = voxels_of_half_transform(real, 2 * self.size, self.kernel)
            # A difference of -n is that of no two voxels.
            return jnp.pad(voxels[1:, 1:, 1:], [(1, 0)] * 3)

        return jax.lax.map(back, jnp.moveaxis(self.weights, -1, 0))

    def solve(self, power, start, window):
        """Least `½ Σ‖y - Σ_a h_a A v_a‖²_Λ + ½ Σ_ka |v̂_a(k)|²/τ_a²(|k|)` of what is band-limited
        and within `window`, by descent from `start`, which should be of that kind.

        As in the diagonal solution, no direction may weigh less than `wiener.FLOOR` of its shell's
        mean.
        """
        n, place = self.size, square_of_triangle(self.count)
        kernels = self.convolutions()
        spectra = jax.lax.map(lambda k: jnp.fft.rfftn(jnp.fft.ifftshift(k)).real, kernels)
        left = jnp.moveaxis(jax.lax.map(plane_wave_weights, kernels), 0, -1)
        shells, inside = wiener.shells_inside(n, n)
        own = left[..., np.diagonal(place)].mean(axis=-1)
        mean = wiener.shell_mean(own, shells, inside, n)
        variance = jnp.maximum(power, 1e-9 * power.max()).T
        penalty = jnp.maximum(n**3 / variance, wiener.FLOOR * mean[:, None])[shells]
        inverse = jax.lax.map(_inverse_plane, (left, penalty, inside))

        def operator(v):
            return convolved(spectra, place, v) + _mixed(jnp.moveaxis(penalty, -1, 0), v)

        def precondition(v):
            transform = jnp.moveaxis(_transforms(window * v), 0, -1)
            parts = jnp.stack([transform.real, transform.imag], axis=-1)
            found = jnp.matmul(inverse[..., place], parts, precision="highest")
            turned = jnp.moveaxis(jax.lax.complex(found[..., 0], found[..., 1]), -1, 0)
            return window * jnp.fft.irfftn(turned, s=v.shape[1:], axes=(1, 2, 3))

        right, scale = self.right_hand_side(), self.spacing**3
        found = conjugate_gradients(operator, right, precondition, start * scale, self.stopping)
        of_shell = lambda x: wiener.shell_mean(x, shells, inside, n)
        covariance = n**3 * jax.vmap(of_shell, in_axes=-1, out_axes=-1)(inverse)
        return BlockSolution(found.x / scale, covariance[:, place])


def table_shape(size: int, channels: int, kernel: Kernel) -> tuple[int, int, int, int]:
    """Of a scattered half-grid for a volume of `size` voxels a side."""
    m = kernel.padded_size(size)
    side = m + 2 * MARGIN + 1
    return side, side, m // 2 + 2 * MARGIN + 1, channels


def _inverse_plane(plane):
    """The triangle of the inverse of each frequency's system; zero outside the sphere."""
    left, penalty, inside = plane
    count = penalty.shape[-1]
    unit = jnp.eye(count, dtype=left.dtype)
    system = left[..., square_of_triangle(count)] + penalty[..., None] * unit
    inverse = inverse_of_cells(jnp.where(inside[..., None, None], system, unit))
    row, column = np.triu_indices(count)
    return jnp.where(inside[..., None], inverse[..., row, column], 0)


def _transforms(volumes):
    return jnp.fft.rfftn(volumes, axes=(1, 2, 3))


def _mixed(factor, volumes):
    return jnp.fft.irfftn(factor * _transforms(volumes), s=volumes.shape[1:], axes=(1, 2, 3))


def convolved(spectra, place, volumes):
    """`Σ_b K_ab * v_b`, from the `rfftn` of each convolution of the triangle with `d = 0` in the
    corner."""
    n = volumes.shape[-1]
    shape = (spectra.shape[1],) * 3
    transforms = jax.lax.map(lambda v: jnp.fft.rfftn(v, s=shape), volumes)

    def row(of):
        product = jnp.sum(spectra[of] * transforms, axis=0)
        return jnp.fft.irfftn(product, s=shape)[:n, :n, :n]

    return jax.lax.map(row, jnp.asarray(place))
