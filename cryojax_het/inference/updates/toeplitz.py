"""Exact normal equations of a voxel volume: the normal operator of all images is a convolution.

    (A*Λ⁻¹A v)(r) = Σ_r' K(r - r') v(r'),   K(d) = Re Σ_i Σ_k w_i(k) exp(2πi d·ξ_i(k))

with `w = |transfer|² · precision` of every frequency `k` of every image and `ξ` where its slice
puts it. Differences of voxels span twice the box, so `K` comes from the weights as a volume of that
size comes from its slices: laid down with a kernel on an oversampled half-grid, transformed back,
corrected. However many images there are, the operator then costs two transforms of `(2n)³`
(Fessler et al. 2005, IEEE Trans. Signal Process. 53; for cryo-EM: Wang, Shkolnisky & Singer 2013,
SIAM J. Imaging Sci. 6).

What is stored beyond `NormalEquations`, on every device: a table of `16 (n p)³` bytes, `p` the
kernel's padding: 0.5 GB at n = 256. A solution needs about eight arrays of that size at once while
`K` is made, and two transforms of `(2n)³` per iteration. Images cost one narrower scatter more.
"""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch, Latents
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.interpolation import MARGIN, circle_points, scatter_rows, taps
from ...volumes.kernel import Kernel
from ...volumes.voxels import table_frame, voxels_of_half_transform
from . import wiener
from .conjugate_gradients import Solution, Stopping, conjugate_gradients
from .normal_equations import INT32, NormalEquations


@final
class ExactEquations(eqx.Module):
    """`diagonal` holds the right-hand side; `weights` the table for a volume of twice the box."""

    diagonal: NormalEquations
    weights: Float[Array, "z y x 1"]

    @classmethod
    def zeros(cls, size: int, spacing: Float[Array, ""], kernel: Kernel) -> "ExactEquations":
        """No image yet. `ValueError` where the table would be beyond 32-bit indices."""
        diagonal = NormalEquations.zeros(size, spacing, kernel)
        m = kernel.padded_size(2 * size)
        shape = (m + 2 * MARGIN + 1,) * 2 + (m // 2 + 2 * MARGIN + 1, 1)
        if np.prod(shape, dtype=np.int64) >= INT32:
            raise ValueError(
                f"Exact equations for a box of {size} pixels need a table beyond 2³¹ numbers: crop "
                f"the images to at most {_largest_size(kernel)} pixels, or solve the diagonal ones."
            )
        return cls(diagonal, jnp.zeros(shape, spacing.dtype))

    def add(
        self, batch: Batch, latents: Latents, noise: AbstractGaussianNoise, grid: FourierGrid
    ) -> "ExactEquations":
        """With the images of `batch` under `latents`, each times its `weight`."""
        diagonal = self.diagonal.add(batch, latents, noise, grid)
        side, spacing = self.weights.shape[0], self.diagonal.spacing

        def one(latent, optics, weight):
            transfer = latent.contrast * optics.transfer(grid)
            precision = weight * noise.of_group(optics.group).precision(grid)
            frame = table_frame(optics.frame(latent.rotation), grid, spacing, side)
            return precision * jnp.abs(transfer) ** 2, frame

        weights, frame = jax.vmap(one)(latents, batch.optics, batch.weight)
        rows, columns = np.nonzero(inside_circle(grid.size))
        shape, kernel = self.weights.shape[:3], self.diagonal.kernel
        first, taps_, _ = taps(circle_points(frame, grid.size), shape, kernel)
        cells = weights[:, rows, columns, None]
        return ExactEquations(diagonal, scatter_rows(cells, first, taps_, self.weights))

    def plus(self, other: "ExactEquations") -> "ExactEquations":
        """The equations of both sets of images."""
        tables = lambda e: (e.diagonal.table, e.weights)
        sums = [a + b for a, b in zip(tables(self), tables(other), strict=True)]
        return eqx.tree_at(tables, self, sums)

    def right_hand_side(self) -> Float[Array, "n n n"]:
        """`A*Λ⁻¹y` for voxels of unit spacing: the exact adjoint of slicing `Voxels`."""
        d = self.diagonal
        table = jax.lax.complex(d.table[..., 0], d.table[..., 1])
        return voxels_of_half_transform(table, d.size, d.kernel)

    def convolution(self) -> Float[Array, "m m m"]:
        """`K(d)`, `d = 0` at voxel `[n, n, n]`; zero where a component of `d` is `-n`, which is
        the difference of no two voxels."""
        size, kernel = 2 * self.diagonal.size, self.diagonal.kernel
        table = self.weights[..., 0]
        real = voxels_of_half_transform(jax.lax.complex(table, table * 0), size, kernel)
        return jnp.pad(real[1:, 1:, 1:], [(1, 0)] * 3)


class AbstractSupport(eqx.Module):
    """Where density is allowed."""

    @abc.abstractmethod
    def window(self, size: int) -> Float[np.ndarray, "n n n"]:
        """Factor of each voxel, 0 to 1."""


@final
class WholeBox(AbstractSupport):
    """Anywhere in the box."""

    def window(self, size):
        return np.ones((size,) * 3)


@final
class Ball(AbstractSupport):
    """Within `radius` of the centre, both in voxels, then half a cosine down over `edge`."""

    radius: float = eqx.field(static=True)
    edge: float = eqx.field(static=True, default=3.0)

    def __check_init__(self):
        if self.radius <= 0 or self.edge <= 0:
            raise ValueError(
                f"`radius` and `edge` must be positive, in voxels. Got {self.radius}, {self.edge}."
            )

    def window(self, size):
        axis = np.arange(size) - size // 2
        radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
        outside = np.clip((radius - self.radius) / self.edge, 0, 1)
        return 0.5 * (1 + np.cos(np.pi * outside))


def solve(
    equations: ExactEquations,
    prior: Float[Array, " s"],
    support: AbstractSupport,
    stopping: Stopping,
) -> Float[Array, "n n n"]:
    """The volume. `prior` is `1/(τ²⟨Λ⟩)` per shell, as for the diagonal solution; zero for none.

    It minimises `Σ‖y - A v‖²_Λ + Σ|v̂|²/τ²` over volumes `support · (band-limited)`, whose
    frequencies are inside the Nyquist sphere. As in the diagonal solution, no direction may weigh
    less than `wiener.FLOOR` of its shell's mean.
    """
    return solve_verbosely(equations, prior, support, stopping).x


def solve_verbosely(
    equations: ExactEquations,
    prior: Float[Array, " s"],
    support: AbstractSupport,
    stopping: Stopping,
) -> Solution:
    """As `solve`, with the iterations taken and the residual left."""
    n, spacing = equations.diagonal.size, equations.diagonal.spacing
    kernel = equations.convolution()
    spectrum = jnp.fft.rfftn(jnp.fft.ifftshift(kernel)).real
    shells, inside = wiener.shells_inside(n, n)
    weight = plane_wave_weights(kernel)
    mean = wiener.shell_mean(weight, shells, inside, n)[shells]
    penalty = jnp.maximum(prior, wiener.FLOOR)[shells] * mean
    window = jnp.asarray(support.window(n), kernel.dtype)
    inverse = inside / jnp.maximum(weight + penalty, wiener.FLOOR * mean)

    def operator(v):
        return convolve(spectrum, v) + _filtered(penalty, v)

    def precondition(v):
        return window * _filtered(inverse, window * v)

    diagonal = wiener.solve(equations.diagonal, prior) * spacing**3
    start = window * _filtered(inside, diagonal)
    right = equations.right_hand_side()
    found = conjugate_gradients(operator, right, precondition, start, stopping)
    return eqx.tree_at(lambda s: s.x, found, found.x / spacing**3)


def convolve(
    spectrum: Float[Array, "m m h"], voxels: Float[Array, "n n n"]
) -> Float[Array, "n n n"]:
    """`Σ_r' K(r - r') v(r')`, from the `rfftn` of `K` with `d = 0` in the corner."""
    n, shape = voxels.shape[0], (spectrum.shape[0],) * 3
    padded = jnp.fft.irfftn(spectrum * jnp.fft.rfftn(voxels, s=shape), s=shape)
    return padded[:n, :n, :n]


def plane_wave_weights(kernel: Float[Array, "m m m"]) -> Float[Array, "n n h"]:
    """`f* A*Λ⁻¹A f` for each Fourier vector `f` of the box, of unit norm: on an `rfftn` half-grid.

    The eigenvalues of the circulant operator nearest to the convolution (T. Chan 1988).
    """
    n = kernel.shape[0] // 2
    overlap = jnp.asarray(1 - np.abs(np.arange(-n, n)) / n, kernel.dtype)
    tapered = kernel * overlap[:, None, None] * overlap[:, None] * overlap
    return jnp.fft.rfftn(tapered.reshape(2, n, 2, n, 2, n).sum(axis=(0, 2, 4))).real


def _largest_size(kernel):
    # m²(m/2) with the margins stays below 2³¹ up to m = 1618.
    return 2 * int(1618 / (4 * kernel.padding))


def _filtered(factor, voxels):
    return jnp.fft.irfftn(factor * jnp.fft.rfftn(voxels), s=voxels.shape)
