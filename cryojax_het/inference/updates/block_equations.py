"""Normal equations of several volumes at once, each image a known mixture of them.

With the images `y_i ≈ A_i Σ_a h_ia V_a` and moments `h_i = E[c h]`, `S_i = E[c² h hᵀ]`:

    Σ_b L_ab(ξ) V_b(ξ) + V_a(ξ)/τ_a²(|ξ|) = B_a(ξ)
    B_a = Σ_i h_ia A_i*Λ⁻¹y_i,   L_ab = Σ_i S_iab (A_i*Λ⁻¹A_i)_diag

one system of `q` unknowns per frequency ξ. Of one volume and moments 1 it is `NormalEquations`;
principal volumes, spectral volumes and regressions are choices of the moments.
"""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch, Latents, translate
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.interpolation import MARGIN, circle_points, scatter_rows, taps
from ...volumes.kernel import Kernel
from ...volumes.voxels import table_frame
from . import wiener
from .normal_equations import INT32, fold


class BlockSolution(eqx.Module):
    """`voxels` of the q volumes, and what is left uncertain about them.

    - `covariance`: posterior covariance of one Fourier coefficient `V(k)`, in (density·Å³)², mean
      over each shell 0 to n//2; the prior's where no image says anything.
    """

    voxels: Float[Array, "q n n n"]
    covariance: Float[Array, "s q q"]


class AbstractBlockEquations(eqx.Module):
    """Sums over images from which `count` volumes follow, of `size` voxels `spacing` Å apart."""

    spacing: eqx.AbstractVar[Float[Array, ""]]
    count: eqx.AbstractVar[int]
    size: eqx.AbstractVar[int]

    @classmethod
    @abc.abstractmethod
    def zeros(
        cls, count: int, size: int, spacing: Float[Array, ""], kernel: Kernel
    ) -> "AbstractBlockEquations":
        """No image yet. `ValueError` where a table would be beyond 32-bit indices."""

    @abc.abstractmethod
    def add(
        self,
        batch: Batch,
        latents: Latents,
        moments: tuple[Float[Array, "b q"], Float[Array, "b q q"]],
        noise: AbstractGaussianNoise,
        grid: FourierGrid,
    ) -> "AbstractBlockEquations":
        """With the images of `batch` at the poses of `latents`, each times its `weight`.

        - `moments`: `E[c h]` and `E[c² h hᵀ]`, contrast `c` included (that of `latents` is not
          looked at).
        """

    @abc.abstractmethod
    def solve(
        self,
        power: Float[Array, "q s"],
        start: Float[Array, "q n n n"],
        window: Float[Array, "n n n"],
    ) -> BlockSolution:
        """The volumes, for a signal of variance `power` of each at each shell 0 to n//2, in
        (density·Å³)²: `τ²`. They are zero where `window` is, and from the Nyquist sphere on.

        - `start`: volumes near the solution, for those that descend to it.
        """


@final
class BlockEquations(AbstractBlockEquations):
    """`table` `[z, y, x, 2q + q(q+1)/2]` for `count` volumes of `size` voxels `spacing` Å apart.

    Channels: `Re B_a`, `Im B_a` in turn, then the upper triangle of `L`, row by row.
    """

    table: Float[Array, "z y x c"]
    spacing: Float[Array, ""]
    count: int = eqx.field(static=True)
    size: int = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True)

    @classmethod
    def zeros(cls, count, size, spacing, kernel):
        m = kernel.padded_size(size)
        channels = 2 * count + count * (count + 1) // 2
        shape = (m + 2 * MARGIN + 1,) * 2 + (m // 2 + 2 * MARGIN + 1, channels)
        if np.prod(shape, dtype=np.int64) >= INT32:
            raise ValueError(
                f"{count} volumes of {size} voxels a side need a table beyond 2³¹ numbers: ask for "
                "fewer components, or crop the images further."
            )
        table = jnp.zeros(shape, spacing.dtype)
        return cls(table=table, spacing=spacing, count=count, size=size, kernel=kernel)

    def add(self, batch, latents, moments, noise, grid):
        side = self.table.shape[0]

        def one(image, latent, optics, weight):
            transfer = optics.transfer(grid)
            precision = weight * noise.of_group(optics.group).precision(grid)
            centred = translate(image, -latent.shift, grid)
            right = precision * jnp.conj(transfer) * centred
            left = precision * jnp.abs(transfer) ** 2
            return right, left, table_frame(optics.frame(latent.rotation), grid, self.spacing, side)

        right, left, frame = jax.vmap(one)(batch.images, latents, batch.optics, batch.weight)
        return eqx.tree_at(lambda e: e.table, self, self._laid_down((right, left), frame, moments))

    def _laid_down(self, planes, frame, moments):
        size = planes[0].shape[1]
        rows, columns = np.nonzero(inside_circle(size))
        first, weights, sign = taps(circle_points(frame, size), self.table.shape[:3], self.kernel)
        right, left = (plane[:, rows, columns] for plane in planes)
        upper = np.triu_indices(self.count)
        mixed, square = moments[0], moments[1][:, upper[0], upper[1]]
        pair = jnp.stack([right.real, right.imag * sign], axis=-1)
        numerator = pair[:, :, None, :] * mixed[:, None, :, None]
        cells = [numerator.reshape(*left.shape, -1), left[..., None] * square[:, None, :]]
        return scatter_rows(jnp.concatenate(cells, axis=-1), first, weights, self.table)

    def plus(self, other: "BlockEquations") -> "BlockEquations":
        """The equations of both sets of images."""
        return eqx.tree_at(lambda e: e.table, self, self.table + other.table)

    def folded(self) -> tuple[Complex[Array, "m m h q"], Float[Array, "m m h t"]]:
        """`B` and the upper triangle of `L` on the `rfftn` half-grid of the padded volume, every
        conjugate counted."""
        pairs = self.table[..., : 2 * self.count]
        right = fold(jax.lax.complex(pairs[..., 0::2], pairs[..., 1::2]))
        return right, fold(self.table[..., 2 * self.count :])

    @property
    def finer(self) -> float:
        """Cells of the table per independent frequency of the box."""
        return (self.kernel.padded_size(self.size) / self.size) ** 3

    def solve(self, power, start, window):
        del start  # solved at once
        found = self.solve_cells(power)
        return BlockSolution(found.voxels * window, found.covariance)

    def solve_cells(self, power: Float[Array, "q s"]) -> BlockSolution:
        """The volumes, for a signal of variance `power` of each at each shell 0 to n//2, in
        (density·Å³)²: `τ²`. Frequencies from the Nyquist sphere on are zero.

        No direction of a cell may weigh less than `wiener.FLOOR` of its shell's mean.
        """
        right, left = self.folded()
        n, m = self.size, left.shape[0]
        shells, inside = wiener.shells_inside(m, n)
        diagonal = square_of_triangle(self.count)[np.arange(self.count), np.arange(self.count)]
        mean = wiener.shell_mean(left[..., diagonal].mean(axis=-1), shells, inside, n)
        variance = jnp.maximum(power, 1e-9 * power.max()).T
        prior = jnp.maximum(1 / (self.finer * variance), wiener.FLOOR * mean[:, None])
        within = inside & (mean[shells] > 0)
        # Plane by plane: all systems at once would be many times the table.
        found, spread = jax.lax.map(_solve_plane, (right, left, prior[shells], within))
        shape = (n, self.kernel, self.spacing)
        voxels = jax.lax.map(lambda one: wiener.to_voxels(one, *shape), jnp.moveaxis(found, -1, 0))
        of_shell = lambda x: wiener.shell_mean(x, shells, inside, n)
        covariance = jax.vmap(of_shell, in_axes=-1, out_axes=-1)(spread)
        square = covariance[:, square_of_triangle(self.count)]
        return BlockSolution(voxels, square / self.finer)


def square_of_triangle(count: int) -> Int[np.ndarray, "q q"]:
    """Place of each entry of a symmetric matrix in its upper triangle."""
    row, column = np.triu_indices(count)
    place = np.zeros((count, count), np.int32)
    place[row, column] = place[column, row] = np.arange(len(row))
    return place


def _solve_plane(plane):
    """Unknowns and the triangle of the inverse of each cell; zero where nothing is known."""
    right, left, prior, within = plane
    count = right.shape[-1]
    unit = jnp.eye(count, dtype=left.dtype)
    system = left[..., square_of_triangle(count)] + prior[..., None] * unit
    inverse = inverse_of_cells(jnp.where(within[..., None, None], system, unit))
    parts = jnp.stack([right.real, right.imag], axis=-1)
    found = jnp.matmul(inverse, parts, precision="highest")
    found = jnp.where(within[..., None, None], found, 0)
    row, column = np.triu_indices(count)
    spread = jnp.where(within[..., None], inverse[..., row, column], 0)
    return jax.lax.complex(found[..., 0], found[..., 1]), spread


def inverse_of_cells(system: Float[Array, "*c q q"]) -> Float[Array, "*c q q"]:
    """Of positive definite matrices, by Gauss-Jordan elimination on all cells at once: for the few
    unknowns of a cell, a loop over them is faster than a library call per cell. Scaled to a unit
    diagonal first, where single precision is enough."""
    scale = 1 / jnp.sqrt(jnp.diagonal(system, axis1=-2, axis2=-1))
    unit = system * scale[..., None] * scale[..., None, :]
    count = system.shape[-1]

    def eliminate(place, a):
        pivot = a[..., place, place][..., None, None]
        row = a[..., place, :][..., None, :]
        column = a[..., :, place][..., None]
        here = jnp.arange(count) == place
        swept = a - column * row / pivot
        swept = jnp.where(here[:, None], row / pivot, swept)
        swept = jnp.where(here, -column / pivot, swept)
        return jnp.where(here[:, None] & here, 1 / pivot, swept)

    inverse = jax.lax.fori_loop(0, count, eliminate, unit)
    return inverse * scale[..., None] * scale[..., None, :]
