"""Least squares for a reference map seen through known deformations, one for each image.

    (A_i x)(k) = a³ s_i C_i(k) e^{-2πi k·t_i} Σ_j x_j e^{c_j(z_i)} e^{-2πi k·R_i(r_j + u_j(z_i))}

Every voxel `r_j` of the molecule carries its density, a point mass `a³ x_j`, to where image `i` has
it. In a rigid part this is the Fourier slice of the band-limited map, without any interpolation in
space; where the field stretches, mass is kept. The map that minimises

    ½ Σ_i ‖y_i - A_i x‖²_Λ + ½ Σ_ξ |x̂(ξ)|² / τ²(|ξ|)

is that of all images in one conformation. `A_i` is linear in `x` and its adjoint is exact, where a
back-projection of warped images is neither. Nothing of the size of the normal operator is stored:
it is applied to a map by a pass over the images. (Punjani & Fleet 2023, Nat. Methods 20: 3DFlex, by
L-BFGS; Schwab et al. 2024, Nat. Methods 21: DynaMight, by weighted back-projection.)
"""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch, Latents, translate
from ...imaging.noise import AbstractGaussianNoise
from ...imaging.optics import Optics
from ...imaging.spectrum import shell_sum
from ...volumes.displacement import AbstractDisplacement
from ...volumes.splat import Landing, Splat
from . import wiener


@final
class RightHandSide(eqx.Module):
    """Sums over images: `Σ A_i*Λ⁻¹y_i`, per voxel, and `Σ |transfer|² · precision` over each shell
    0 to n//2 of the images."""

    voxels: Float[Array, "n n n"]
    weight: Float[Array, " s"]


class _Seen(NamedTuple):
    """The points as one image has them: places in the molecule's frame, Å, and the mass of unit
    density."""

    positions: Float[Array, "*g j 3"]
    mass: Float[Array, "*g j"]


@final
class DeformedMap(eqx.Module):
    """The images as linear functions of the `size`³ voxels `[z, y, x]` of a reference map.

    - `flat`: the voxels that may have density, as rows of the raveled map; `positions`: their
      places, Å, both of `voxels_within`; `spacing`: Å per voxel.
    - `displacement`: of those positions. One that changes widths is refused (`ValueError`): a
      voxel has none.
    - `together`: images whose points are laid down at once. One is best on a CPU, where their
      table stays in the cache; an accelerator wants many. It must divide a batch.
    """

    flat: Int[Array, " j"]
    positions: Float[Array, "j 3"]
    spacing: Float[Array, ""]
    displacement: AbstractDisplacement
    size: int = eqx.field(static=True)
    splat: Splat = Splat()
    together: int = eqx.field(static=True, default=1)

    def right(self, batch: Batch, noise: AbstractGaussianNoise, grid: FourierGrid) -> RightHandSide:
        """Of a batch under its own latents, each image times its `weight`."""

        def one(row, seen):
            image, latents, optics, weight = row
            precision = weight * noise.of_group(optics.group).precision(grid)
            transfer = latents.contrast * optics.transfer(grid)
            centred = translate(image, -latents.shift, grid)
            landing = self._landing(seen, latents, optics, grid)
            values = self.splat.back(precision * jnp.conj(transfer) * centred, landing, grid)
            # `shell_sum` counts conjugates, which the precision has counted too.
            power = precision * jnp.abs(transfer) ** 2 / grid.weights()
            return values * seen.mass, shell_sum(power, grid)

        rows = (batch.images, batch.latents, batch.optics, batch.weight)
        values, weight = self._summed(one, rows, batch.latents.conformation)
        return RightHandSide(self._placed(values), weight)

    def normal(
        self,
        voxels: Float[Array, "n n n"],
        batch: Batch,
        noise: AbstractGaussianNoise,
        grid: FourierGrid,
    ) -> Float[Array, "n n n"]:
        """`Σ A_i*Λ⁻¹A_i x` of a map `x`; zero wherever the model has no voxel."""
        values = voxels.ravel()[self.flat]

        def one(row, seen):
            latents, optics, weight = row
            precision = weight * noise.of_group(optics.group).precision(grid)
            power = precision * jnp.abs(latents.contrast * optics.transfer(grid)) ** 2
            landing = self._landing(seen, latents, optics, grid)
            view = self.splat.slice(values * seen.mass, landing, grid)
            return self.splat.back(power * view, landing, grid) * seen.mass

        rows = (batch.latents, batch.optics, batch.weight)
        return self._placed(self._summed(one, rows, batch.latents.conformation))

    def support(self) -> Float[Array, "n n n"]:
        """1 at the model's voxels, 0 elsewhere."""
        return self._placed(jnp.ones_like(self.positions[:, 0]))

    def _moved(self, conformation: Float[Array, " d"]) -> _Seen:
        change = self.displacement.change(conformation, self.positions)
        if change.width is not None:
            raise ValueError(
                "Voxels of a map have no width to change: take a displacement without widths."
            )
        mass = self.spacing**3 * jnp.ones_like(self.positions[:, 0])
        mass = mass if change.amplitude is None else mass * jnp.exp(change.amplitude)
        return _Seen(self.positions + change.displacement, mass)

    def _landing(self, seen: _Seen, latents: Latents, optics: Optics, grid) -> Landing:
        return self.splat.landing(seen.positions, optics.frame(latents.rotation), grid)

    def _summed(self, one, rows, conformation):
        """Sum of `one(row, seen)` over images, some at a time: memory does not grow with the batch.

        Where the next images have the points is made one step ahead and handed on: made in the same
        step, the compiler would compute it anew in each of the loops over the kernel's taps.
        """
        in_groups = lambda x: x.reshape(-1, self.together, *x.shape[1:])
        rows, conformation = jax.tree.map(in_groups, (rows, conformation))
        several = _together(one, self.together)
        moved = jax.vmap(self._moved)

        def add(carry, group):
            (total, seen), (row, following) = carry, group
            return (jax.tree.map(jnp.add, total, several(row, seen)), moved(following)), None

        seen = moved(conformation[0])
        shapes = jax.eval_shape(several, jax.tree.map(lambda x: x[0], rows), seen)
        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        groups = (rows, jnp.roll(conformation, -1, axis=0))
        return jax.lax.scan(add, (empty, seen), groups)[0][0]

    def _placed(self, values: Float[Array, " j"]) -> Float[Array, "n n n"]:
        empty = jnp.zeros(self.size**3, values.dtype)
        return empty.at[self.flat].set(values).reshape((self.size,) * 3)


def _together(one, count):
    """Sum of `one` over `count` images at once; one alone is not batched, which takes longer."""
    if count == 1:
        return lambda row, seen: one(*jax.tree.map(lambda x: x[0], (row, seen)))
    return lambda row, seen: jax.tree.map(lambda x: x.sum(axis=0), jax.vmap(one)(row, seen))


@final
class Regulariser(eqx.Module):
    """The prior and the preconditioner, both diagonal in Fourier space but for the support.

    - `penalty`: `1/τ²` of each frequency of the map, `inverse` that of it and the images' weight;
    - `support`: 1 where the map may have density, else 0.
    """

    penalty: Float[Array, "n n h"]
    inverse: Float[Array, "n n h"]
    support: Float[Array, "n n n"]

    def prior(self, voxels: Float[Array, "n n n"]) -> Float[Array, "n n n"]:
        """`P x`, with `½ xᵀPx` the prior's part of the objective; zero outside the support."""
        return self.support * filtered(self.penalty, voxels)

    def precondition(self, voxels: Float[Array, "n n n"]) -> Float[Array, "n n n"]:
        """Nearly the inverse of the normal operator with the prior."""
        return self.support * filtered(self.inverse, self.support * voxels)


def regulariser(
    weight: Float[Array, " s"],
    ratio: Float[Array, " s"],
    support: Float[Array, "n n n"],
    spacing: Float[Array, ""],
) -> Regulariser:
    """From the sums `RightHandSide.weight` and the noise-to-signal ratio `1/(τ²⟨L⟩)` per shell.

    Images at all angles spread the weight of a ring evenly over the shell of the map: each of its
    `N` frequencies has `L = a⁶ n³ weight / N`, and moving parts of the map turns its slices but
    adds none. No ratio is below `wiener.FLOOR`.

    No image has frequencies from the Nyquist sphere on. They are held down as if the last shell
    had a ratio of 1: within a support they go with those inside, and left almost free, or barred,
    they slow conjugate gradients (measured in a ball: 9 to 114 iterations against 5).
    """
    n = len(support)
    shells, inside = wiener.shells_inside(n, n)
    twice = np.full(n // 2 + 1, 2.0)
    twice[[0, -1]] = 1.0
    counted = jnp.where(inside, jnp.asarray(twice, weight.dtype), 0)
    count = jnp.zeros_like(weight).at[shells.ravel()].add(counted.ravel())
    level = spacing**6 * n**3 * weight / jnp.maximum(count, 1)
    # The shell that the Nyquist circle cuts may be empty.
    level = jnp.maximum(level, 1e-6 * level.max())
    ratio = jnp.maximum(ratio, wiener.FLOOR)
    penalty = jnp.where(inside, (ratio * level)[shells], jnp.maximum(ratio[-1], 1) * level[-1])
    inverse = 1 / (jnp.where(inside, level[shells], 0) + penalty)
    return Regulariser(penalty, inverse, support)


def filtered(factor: Float[Array, "n n h"], voxels: Float[Array, "n n n"]) -> Float[Array, "n n n"]:
    """The map with each frequency of its `rfftn` times `factor`."""
    return jnp.fft.irfftn(factor * jnp.fft.rfftn(voxels), s=voxels.shape)
