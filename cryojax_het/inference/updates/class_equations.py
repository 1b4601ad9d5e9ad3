"""Normal equations of several volumes of which each image shows one, gathered in one table.

    B_k(ξ) = Σ_i r_ik (A_i* Λ⁻¹ y_i)(ξ),   L_k(ξ) = Σ_i r_ik (A_i* Λ⁻¹ A_i)_diag(ξ)

No image is of two classes at once, so no equation couples two volumes; one scatter serves all.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch, Latents, translate
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.interpolation import MARGIN, circle_points, scatter_rows, taps
from ...volumes.kernel import Kernel
from ...volumes.voxels import table_frame
from . import wiener
from .normal_equations import INT32, NormalEquations


class ClassSignal(eqx.Module):
    """Priors of the volumes as noise-to-signal ratios per shell, `1/(τ²⟨L⟩)`; zero for none.

    - `common`: of the mean of all images, about 0; `departure`: of each class about that mean.

    Classes share most of their density. A prior about 0 would have to let all of a class pass that
    the mean knows well, the noise by which it departs from the mean included.
    """

    common: Float[Array, " s"]
    departure: Float[Array, "k s"]

    @classmethod
    def unlimited(cls, count: int, size: int, dtype) -> "ClassSignal":
        """No prior."""
        shells = size // 2 + 1
        return cls(jnp.zeros(shells, dtype), jnp.zeros((count, shells), dtype))


class ClassEquations(eqx.Module):
    """`table` `[z, y, x, 3k]` for `k` volumes of `size` voxels: `Re B`, `Im B`, `L` of each."""

    table: Float[Array, "*p z y x c"]
    size: int = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True)

    @classmethod
    def zeros(cls, count: int, size: int, kernel: Kernel, dtype) -> "ClassEquations":
        """No image yet. `ValueError` where the table would be beyond 32-bit indices."""
        m = kernel.padded_size(size)
        shape = (m + 2 * MARGIN + 1,) * 2 + (m // 2 + 2 * MARGIN + 1, 3 * count)
        if np.prod(shape, dtype=np.int64) >= INT32:
            raise ValueError(
                f"{count} classes of {size} voxels a side need a table beyond 2³¹ numbers: ask for "
                "fewer classes, or crop the images (`--box`)."
            )
        return cls(jnp.zeros(shape, dtype), size, kernel)

    @property
    def count(self) -> int:
        """Number of classes."""
        return self.table.shape[-1] // 3

    def add(
        self,
        batch: Batch,
        latents: Latents,
        share: Float[Array, "b k"],
        noise: AbstractGaussianNoise,
        setting: tuple[FourierGrid, Float[Array, ""]],
    ) -> "ClassEquations":
        """With the images of `batch` at the poses of `latents`, each times its `weight`, shared out
        to the classes by `share`. `setting`: grid of the images, and Å per voxel."""
        grid, spacing = setting
        side = self.table.shape[0]

        def one(image, latent, optics, weight):
            transfer = latent.contrast * optics.transfer(grid)
            precision = weight * noise.of_group(optics.group).precision(grid)
            centred = translate(image, -latent.shift, grid)
            right = precision * jnp.conj(transfer) * centred
            left = precision * jnp.abs(transfer) ** 2
            return right, left, table_frame(optics.frame(latent.rotation), grid, spacing, side)

        right, left, frame = jax.vmap(one)(batch.images, latents, batch.optics, batch.weight)
        rows, columns = np.nonzero(inside_circle(grid.size))
        points = circle_points(frame, grid.size)
        first, weights, sign = taps(points, self.table.shape[:3], self.kernel)
        right, left = right[:, rows, columns], left[:, rows, columns]
        cells = jnp.stack([right.real, right.imag * sign, left], axis=-1)
        shared = cells[:, :, None, :] * share[:, None, :, None]
        table = scatter_rows(shared.reshape(*left.shape, -1), first, weights, self.table)
        return eqx.tree_at(lambda e: e.table, self, table)

    def one(self, number, spacing: Float[Array, ""]) -> NormalEquations:
        """The equations of one class."""
        table = jax.lax.dynamic_slice_in_dim(self.table, 3 * number, 3, axis=-1)
        return NormalEquations(table, spacing, self.size, self.kernel)

    def common(self, spacing: Float[Array, ""]) -> NormalEquations:
        """The equations of one volume for all images."""
        split = self.table.reshape(*self.table.shape[:-1], self.count, 3)
        return NormalEquations(split.sum(axis=-2), spacing, self.size, self.kernel)

    def solve(self, spacing: Float[Array, ""], signal: ClassSignal) -> Float[Array, "k n n n"]:
        """The volumes, `V̄ + (B_k - L_k V̄) / (L_k + 1/τ_k²)` with `V̄ = ΣB / (ΣL + 1/τ²)`."""
        mean = _solved(*self.common(spacing).folded(), signal.common, self.size)

        def one(numbered):
            number, ratio = numbered
            right, left = self.one(number, spacing).folded()
            departure = _solved(right - left * mean, left, ratio, self.size)
            return wiener.to_voxels(mean + departure, self.size, self.kernel, spacing)

        # One class after another: the padded transforms of all would be several times the table.
        return jax.lax.map(one, (jnp.arange(self.count), signal.departure))


def _solved(right, left, ratio, n):
    """`B / (L + 1/τ²)` on the padded half-grid, as `wiener.solve`."""
    shells, inside = wiener.shells_inside(left.shape[0], n)
    mean = wiener.shell_mean(left, shells, inside, n)[shells]
    weight = jnp.maximum(left + ratio[shells] * mean, wiener.FLOOR * mean)
    return jnp.where(inside & (weight > 0), right / jnp.where(weight > 0, weight, 1), 0)
