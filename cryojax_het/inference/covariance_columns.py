"""Columns of the covariance of volumes, by least squares, from one pass over the images.

With `β_i = A_i*Λ⁻¹(y_i - c_i A_i μ)` and `D_i = (A_i*Λ⁻¹A_i)_diag`, least squares for the
covariance Σ reads `Σ_i D_i Σ D_i = Σ_i (β_i β_iᴴ - D_i)`. Taken as diagonal, each column of it, at
a frequency ξ_c, is an equation of its own:

    Σ(ξ, ξ_c) = Σ_i [β_i(ξ) conj(h_ic) - N_ic(ξ)] / Σ_i D_i(ξ) d_ic,
    h_ic = Σ_k T(ξ_ik - ξ_c) β_i(k),   d_ic = Σ_k T(ξ_ik - ξ_c) D_i(k)

`T` is a tent about ξ_c, as wide as the molecule's transform is smooth, and `N_ic = T D_i` the noise
that an image shares with itself. Images whose slices pass by ξ_c say nothing of it. The covariances
with the real and with the imaginary part of `V(ξ_c)` are real volumes, so each frequency gives two,
over one denominator. They span what varies; a few dozen frequencies do. Why columns, and not
products of Σ with smooth volumes: two frequencies share only the slices that hold both, so that
`Σ_i D_i Σ D_i ω` is not `Σω` under any factor per frequency, but of a column each entry has its own
denominator.

Katsevich, Katsevich & Singer 2015, SIAM J. Imaging Sci. 8; by columns: Gilles & Singer 2025,
PNAS 122.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid, inside_circle
from ..imaging.image import Batch
from ..imaging.noise import AbstractGaussianNoise
from ..volumes.interpolation import MARGIN, circle_points, scatter_rows, taps
from ..volumes.kernel import Kernel
from ..volumes.linear import FourierLinear
from ..volumes.voxels import table_frame
from .linear_statistics import centred_image
from .updates import wiener
from .updates.normal_equations import INT32, NormalEquations

_PER = 5  # channels of a frequency: two complex numerators and a denominator
_ROUNDS = 3  # of prior and half-set agreement, each from the other


@final
class ColumnEquations(eqx.Module):
    """`table` `[z, y, x, 5j]` for the columns at `frequencies` `[j, 3]`, (x, y, z) in steps of the
    box, of volumes of `size` voxels `spacing` Å apart.

    Channels of a frequency: real and imaginary parts of `Σ β Re h - N`, then of `Σ β Im h - N`,
    then `Σ D d`.
    """

    table: Float[Array, "z y x c"]
    spacing: Float[Array, ""]
    frequencies: Float[Array, "j 3"]
    size: int = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True)
    reach: float = eqx.field(static=True)  # of the tents, in steps of the box

    @classmethod
    def zeros(
        cls,
        frequencies: Float[Array, "j 3"],
        size: int,
        spacing: Float[Array, ""],
        kernel: Kernel,
        reach: float,
    ) -> "ColumnEquations":
        """No image yet. `ValueError` where the table would be beyond 32-bit indices."""
        m = kernel.padded_size(size)
        channels = _PER * len(frequencies)
        shape = (m + 2 * MARGIN + 1,) * 2 + (m // 2 + 2 * MARGIN + 1, channels)
        if np.prod(shape, dtype=np.int64) >= INT32:
            raise ValueError(
                f"{len(frequencies)} columns of {size} voxels a side need a table beyond 2³¹ "
                "numbers: ask for fewer components, or crop the images further."
            )
        return cls(jnp.zeros(shape, spacing.dtype), spacing, frequencies, size, kernel, reach)

    def add(
        self,
        batch: Batch,
        mean: FourierLinear,
        noise: AbstractGaussianNoise,
        contrast: tuple[Float[Array, ""], Float[Array, ""]],
        grid: FourierGrid,
    ) -> "ColumnEquations":
        """With the images of `batch` at the poses of its latents, each times its `weight`.

        - `mean`: μ, prepared; components are not looked at.
        - `contrast`: mean and width of its normal prior; that of each image is its posterior mean.
        """
        mean = mean.leading(0)
        rows, columns = np.nonzero(inside_circle(grid.size))

        def one(image, latents, optics):
            right, left = centred_image(image, latents.shift, optics, noise, grid)
            frame = optics.frame(latents.rotation)
            plane = mean.planes(frame, grid)[..., 0, :]
            plane = jax.lax.complex(plane[..., 0], plane[..., 1])
            beta, weight = _residual(right, left, plane, contrast)
            return beta[rows, columns], weight[rows, columns], frame

        right, left, rotation = jax.vmap(one)(batch.images, batch.latents, batch.optics)
        frame = lambda side: jax.vmap(lambda r: table_frame(r, grid, self.spacing, side))(rotation)
        # A table without padding has one step per frequency of the box.
        around = circle_points(frame(self.size + 1 + 2 * MARGIN), grid.size)
        near = _tents(around, self.frequencies, self.reach)
        cells = _cells(right, left, near) * batch.weight[:, None, None]
        points = circle_points(frame(self.table.shape[0]), grid.size)
        first, weights, sign = taps(points, self.table.shape[:3], self.kernel)
        imaginary = np.tile([False, True, False, True, False], len(self.frequencies))
        cells = cells * jnp.where(imaginary, sign[..., None], 1)
        table = scatter_rows(cells, first, weights, self.table)
        return eqx.tree_at(lambda e: e.table, self, table)


def _residual(right, left, plane, contrast):
    """`A*Λ⁻¹(y - cAμ)` and the weights of `A` on the slice, `A` with the contrast found.

    `right`, `left` are of contrast 1; both count a frequency for itself and its conjugate.
    """
    centre, width = contrast
    power = jnp.sum(left * (plane.real**2 + plane.imag**2))
    cross = jnp.sum(right.real * plane.real + right.imag * plane.imag)
    share = width**2 / (1 + width**2 * power)
    amplitude = centre + share * (cross - centre * power)
    return amplitude * (right - amplitude * left * plane), amplitude**2 * left


def _tents(points, frequencies, reach):
    """Even and odd parts of `T(ξ - ξ_c)`: halves of the sum and the difference of the tents about
    ξ_c and -ξ_c. `[b, f, j]` each."""

    def tent(sign):
        near = 1.0
        for axis in range(3):
            away = jnp.abs(points[axis][..., None] - sign * frequencies[:, axis])
            near = near * jnp.maximum(1 - away / reach, 0)
        return near

    return 0.5 * (tent(1) + tent(-1)), 0.5 * (tent(1) - tent(-1))


def _cells(right, left, near):
    """What each frequency of each image adds, `[b, f, 5j]`.

    Over the whole plane `β(-k) = conj β(k)`: sums with the even part of the tent are real, those
    with the odd part imaginary.
    """
    even, odd = near
    real = jnp.einsum("bf,bfj->bj", right.real, even, precision="highest")[:, None]
    imaginary = jnp.einsum("bf,bfj->bj", right.imag, odd, precision="highest")[:, None]
    weight = jnp.einsum("bf,bfj->bj", left, even, precision="highest")[:, None]
    x, y, d = right.real[..., None], right.imag[..., None], left[..., None]
    parts = [x * real - even * d, y * real, x * imaginary, y * imaginary - odd * d, d * weight]
    return jnp.stack(parts, axis=-1).reshape(*left.shape, -1)


@eqx.filter_jit
def solve_columns(
    halves: tuple[ColumnEquations, ColumnEquations], mask: Float[Array, "n n n"]
) -> Float[Array, "2 q n n n"]:
    """The `2j` columns of each half-set, as volumes, times `mask`.

    Each frequency's two columns are regularised like a map: `1/τ²` per shell from the agreement of
    the half-sets' columns, which are regularised by it in turn.
    """
    size, kernel, spacing = halves[0].size, halves[0].kernel, halves[0].spacing
    shells, inside = wiener.shells_inside(size, size)

    def solved(numerator, denominator, prior):
        table = jnp.concatenate([numerator, denominator], axis=-1)
        return wiener.solve(NormalEquations(table, spacing, size, kernel), prior) * mask

    def column(tables, prior):
        # A half has half the weight: the same prior is twice its ratio of noise to signal.
        one = lambda t: [solved(t[..., 2 * p : 2 * p + 2], t[..., 4:], 2 * prior) for p in (0, 1)]
        return jnp.stack([jnp.stack(one(table)) for table in tables])

    def agreement(pairs):
        f, g = jnp.fft.rfftn(pairs, axes=(2, 3, 4))
        total = lambda x: wiener.shell_mean(x.sum(axis=0), shells, inside, size)
        norm = total(jnp.abs(f) ** 2) * total(jnp.abs(g) ** 2)
        return total((f * g.conj()).real) / jnp.sqrt(jnp.where(norm > 0, norm, 1))

    def of_frequency(tables):
        prior = jnp.ones(size // 2 + 1, tables.dtype)
        for _ in range(_ROUNDS):
            prior = wiener.noise_to_signal(agreement(column(tables, prior)))
        return column(tables, prior)

    by_frequency = lambda half: half.table.reshape(*half.table.shape[:3], -1, _PER)
    tables = jnp.stack([jnp.moveaxis(by_frequency(half), 3, 0) for half in halves], axis=1)
    found = jax.lax.map(of_frequency, tables)  # [j, half, part, n, n, n]
    return jnp.moveaxis(found, 1, 0).reshape(2, -1, size, size, size)


def choose_frequencies(
    power: Float[np.ndarray, " s"], count: int, first: int = 0
) -> Float[np.ndarray, "j 3"]:
    """At most `count` frequencies, (x, y, z) in steps of the box, one of each conjugate pair, no
    two of them within two steps: the ones of the largest expected signal.

    - `power`: of the mean per shell: what varies is taken to be spread as the mean is. A slice
      holds a frequency with a chance of one over its radius.
    - `first`: the first shell that images are looked at.
    """
    last = len(power) - 2  # within the Nyquist sphere, with its neighbours
    axis = np.arange(-last, last + 1)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    x, y, z = lattice.T
    lattice = lattice[(x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))]
    radius = np.linalg.norm(lattice, axis=1)
    kept = (radius <= last) & (radius >= max(first, 1))
    lattice, radius = lattice[kept], radius[kept]
    order = np.argsort(-power[np.rint(radius).astype(int)] / radius, kind="stable")
    chosen: list[np.ndarray] = []
    for point in lattice[order]:
        apart = [min(np.sum((point - q) ** 2), np.sum((point + q) ** 2)) for q in chosen]
        if all(distance > 4 for distance in apart):
            chosen.append(point)
        if len(chosen) == count:
            break
    return np.array(chosen, np.float64)


def leading_directions(
    columns: Float[np.ndarray, "q n n n"], count: int
) -> Float[np.ndarray, "k n n n"]:
    """Orthonormal volumes that span the `count` largest directions of the columns, or fewer where
    there are fewer."""
    flat = columns.reshape(len(columns), -1)
    wide = flat.astype(np.float64)
    values, vectors = np.linalg.eigh(wide @ wide.T)
    kept = np.flatnonzero(values > 1e-10 * values[-1])[::-1][:count]
    basis = (vectors[:, kept] / np.sqrt(values[kept])).T @ wide
    return basis.reshape(-1, *columns.shape[1:]).astype(columns.dtype)
