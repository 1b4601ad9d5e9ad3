"""Volumes from normal equations: the diagonal solution, corrected for the gridding.

    V̂(ξ) = B(ξ) / (L(ξ) + 1/τ²(|ξ|))

which is exact where views are dense; the prior `τ²` is isotropic, from an FSC or none.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int

from ...volumes.kernel import Kernel
from .normal_equations import NormalEquations

FLOOR = 1e-3  # of the shell's mean weight: cells that no image reached must not divide by zero


def shell_weights(equations: NormalEquations) -> Float[Array, " s"]:
    """Mean of `L` over each shell 0 to n//2 of the volume."""
    _, left = equations.folded()
    shells, inside = shells_inside(left.shape[0], equations.size)
    return shell_mean(left, shells, inside, equations.size)


def solve(equations: NormalEquations, prior: Float[Array, " s"]) -> Float[Array, "n n n"]:
    """The volume. `prior` is `1/(τ² ⟨L⟩)` per shell, the noise-to-signal ratio; zero for none.

    Frequencies from the Nyquist sphere on are zero.
    """
    right, left = equations.folded()
    n, m = equations.size, left.shape[0]
    shells, inside = shells_inside(m, n)
    mean = shell_mean(left, shells, inside, n)[shells]
    weight = jnp.maximum(left + prior[shells] * mean, FLOOR * mean)
    transform = jnp.where(inside & (weight > 0), right / jnp.where(weight > 0, weight, 1), 0)
    return to_voxels(transform, n, equations.kernel, equations.spacing)


def noise_to_signal(fsc: Float[Array, " s"]) -> Float[Array, " s"]:
    """`1/(τ²⟨L⟩)` of the map from all images, from the FSC of its halves: `(1 - F)/(2 F)`.

    The half-map relation `F = s/(s + 1)` with `s = τ²⟨L⟩/2`. `F` is clipped to [0.001, 0.999].
    """
    fsc = jnp.clip(fsc, 1e-3, 0.999)
    return (1 - fsc) / (2 * fsc)


def to_voxels(
    transform: Complex[Array, "m m h"], n: int, kernel: Kernel, spacing: Float[Array, ""]
) -> Float[Array, "n n n"]:
    """Back to real space from the padded half-grid: origin to the centre, crop to `n` voxels,
    correct for the kernel."""
    m = transform.shape[0]
    padded = jnp.fft.fftshift(jnp.fft.irfftn(transform, s=(m, m, m)))
    start = m // 2 - n // 2
    voxels = padded[start : start + n, start : start + n, start : start + n]
    correction = kernel.correction(2 * np.pi * (np.arange(n) - n // 2) / m)
    correction = jnp.asarray(correction / correction[n // 2], voxels.dtype)
    corrected = voxels * correction[:, None, None] * correction[:, None] * correction
    return corrected / spacing**3


def shells_inside(m: int, n: int) -> tuple[Int[Array, "m m h"], Bool[Array, "m m h"]]:
    """Of an `rfftn` half-grid of side `m`: the shell on the scale of a volume of `n` voxels, and
    whether it is inside that one's Nyquist sphere."""
    # Made where they are used: as constants of the program they would be held several times over
    # while it compiles, half a gigabyte at a box of 256.
    axis = jax.lax.optimization_barrier(jnp.asarray(np.fft.fftfreq(m, 1 / m), jnp.int32))
    squares = axis**2
    squared = squares[:, None, None] + squares[:, None] + squares[: m // 2 + 1]
    shells = jnp.rint(jnp.sqrt(squared.astype(jnp.float32)) * np.float32(n / m))
    return jnp.minimum(shells, n // 2).astype(jnp.int32), squared < (m // 2) ** 2


def shell_mean(
    values: Float[Array, "m m h"],
    shells: Int[Array, "m m h"],
    inside: Bool[Array, "m m h"],
    n: int,
) -> Float[Array, " s"]:
    """Mean of `values` over each shell 0 to n//2, of the cells that are `inside`."""
    flat = jnp.where(inside, shells, n // 2 + 1).ravel()
    empty = jnp.zeros(n // 2 + 2, values.dtype)
    sums, counts = empty.at[flat].add(values.ravel()), empty.at[flat].add(1)
    return (sums / jnp.maximum(counts, 1))[: n // 2 + 1]
