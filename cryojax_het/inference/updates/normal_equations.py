"""Normal equations of a voxel volume, gathered slice by slice on an oversampled half-spectrum.

    B(ξ) = Σ_i (A_i* Λ⁻¹ y_i)(ξ),   L(ξ) = Σ_i (A_i* Λ⁻¹ A_i)_diag(ξ)

Each cell of a table holds `Re B`, `Im B` and `L`, so that one scatter serves all three.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Inexact

from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch, Latents, translate
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.interpolation import MARGIN, circle_points, scatter_rows, taps
from ...volumes.kernel import Kernel
from ...volumes.voxels import table_frame

INT32 = 2**31


class NormalEquations(eqx.Module):
    """`table` `[z, y, x, 3]` for a volume of `size` voxels `spacing` Å apart."""

    table: Float[Array, "z y x 3"]
    spacing: Float[Array, ""]
    size: int = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True)

    @classmethod
    def zeros(cls, size: int, spacing: Float[Array, ""], kernel: Kernel) -> "NormalEquations":
        """No image yet. `ValueError` where the table would be beyond 32-bit indices."""
        m = kernel.padded_size(size)
        shape = (m + 2 * MARGIN + 1,) * 2 + (m // 2 + 2 * MARGIN + 1, 3)
        if np.prod(shape, dtype=np.int64) >= INT32:
            raise ValueError(
                f"A box of {size} pixels needs a table beyond 2³¹ numbers: crop the images "
                "(`--box`) to at most 800 pixels."
            )
        return cls(jnp.zeros(shape, spacing.dtype), spacing, size, kernel)

    def add(
        self, batch: Batch, latents: Latents, noise: AbstractGaussianNoise, grid: FourierGrid
    ) -> "NormalEquations":
        """With the images of `batch` under `latents`, each times its `weight`."""
        side = self.table.shape[0]

        def one(image, latent, optics, weight):
            transfer = latent.contrast * optics.transfer(grid)
            precision = weight * noise.of_group(optics.group).precision(grid)
            # A* y: undo the shift, then the conjugate of the transfer.
            centred = translate(image, -latent.shift, grid)
            right = precision * jnp.conj(transfer) * centred
            left = precision * jnp.abs(transfer) ** 2
            frame = table_frame(optics.frame(latent.rotation), grid, self.spacing, side)
            return right, left, frame

        right, left, frame = jax.vmap(one)(batch.images, latents, batch.optics, batch.weight)
        return eqx.tree_at(lambda s: s.table, self, self._laid_down(right, left, frame, grid.size))

    def _laid_down(self, right, left, frame, size):
        rows, columns = np.nonzero(inside_circle(size))
        shape = self.table.shape[:3]
        first, weights, sign = taps(circle_points(frame, size), shape, self.kernel)
        right, left = right[:, rows, columns], left[:, rows, columns]
        cells = jnp.stack([right.real, right.imag * sign, left], axis=-1)
        return scatter_rows(cells, first, weights, self.table)

    def plus(self, other: "NormalEquations") -> "NormalEquations":
        """The equations of both sets of images."""
        return eqx.tree_at(lambda e: e.table, self, self.table + other.table)

    def folded(self) -> tuple[Complex[Array, "m m h"], Float[Array, "m m h"]]:
        """`B` and `L` on the `rfftn` half-grid of the padded volume, every conjugate counted."""
        right = jax.lax.complex(self.table[..., 0], self.table[..., 1])
        return fold(right), fold(self.table[..., 2])


def fold(table: Inexact[Array, "z y x *c"]) -> Inexact[Array, "m m h *c"]:
    """`½ (T(ξ) + conj T(-ξ))` for `kx >= 0`, in FFT order.

    The few taps beyond `m/2` are dropped: no solution keeps frequencies so far out.
    """
    m = table.shape[0] - 2 * MARGIN - 1
    twin = jnp.conj(table[::-1, ::-1, 2 * MARGIN :: -1])  # kx from 2 to -2, at -ξ
    table = table.at[:, :, : 2 * MARGIN + 1].add(twin)
    kept = table[MARGIN : MARGIN + m, MARGIN : MARGIN + m, MARGIN : MARGIN + m // 2 + 1]
    return 0.5 * jnp.fft.ifftshift(kept, axes=(0, 1))
