"""Exact central slices of prolate functions."""

import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from ...imaging.grid import FourierGrid, inside_circle
from .basis import ProlateBasis, polar, sign_of
from .harmonics import equator, rotation_matrices, turning_points, waves

_FEW = 1500  # functions that are sliced faster at every point


class AbstractSlicing(eqx.Module):
    """A way to evaluate `Σ_k a_k ψ̂_k` on a plane."""

    @abc.abstractmethod
    def values(
        self,
        basis: ProlateBasis,
        coefficients: Float[Array, " k"],
        rotation: Float[Array, "3 3"],
        grid: FourierGrid,
    ) -> Complex[Array, " f"]:
        """At the frequencies of `grid` inside its Nyquist circle, row by row; `rotation` as for
        the slice of any volume."""


@final
class AtEveryPoint(AbstractSlicing):
    """Every function at every point of the plane: the fewest steps, for few functions."""

    def values(self, basis, coefficients, rotation, grid):
        points = grid.plane(rotation)[inside_circle(grid.size)]
        return basis.transform(coefficients[:, None], points)[:, 0]


@final
class AtTurnedPlane(AbstractSlicing):
    """Coefficients are turned instead of the plane, by Wigner's matrices.

    On the plane `z = 0` a function depends on the angle as `exp(imφ)`, with `l + m` even, and all
    functions of one `m` add up to one radial profile before any pixel is looked at.

    - `points`, `inverse`: constants from which the matrices of a rotation follow.
    """

    points: Float[Array, "p 3"]
    inverse: list[Float[Array, "_ p"]]

    @classmethod
    def of(cls, basis: ProlateBasis) -> "AtTurnedPlane":
        """For the degrees of this basis."""
        points, inverse = turning_points(basis.degree)
        dtype = basis.table.dtype
        return cls(jnp.asarray(points, dtype), [jnp.asarray(x, dtype) for x in inverse])

    def values(self, basis, coefficients, rotation, grid):
        frame, plane = _in_plane(rotation, grid)
        matrices = rotation_matrices(frame, self.points, self.inverse)
        profiles = self._profiles(basis, coefficients, matrices)
        length, direction = polar(plane)
        at = basis.interpolated(profiles, length)
        # cos mφ and sin mφ: harmonics of the equator, but for their constants.
        around = waves(direction[:, 0], direction[:, 1], basis.degree).T
        even = np.arange(basis.degree + 1) % 2 == 0
        kept = np.concatenate([even[:0:-1], even])
        product = at * around
        parts = product[:, kept].sum(axis=1), product[:, ~kept].sum(axis=1)
        return basis.radius**1.5 * jax.lax.complex(*parts)

    def _profiles(self, basis, coefficients, matrices):
        """Radial profile of each `m` from `-l` to `l`, on the table's `q`."""
        top, start, constants = basis.degree, 0, equator(basis.degree)
        total = jnp.zeros((len(basis.table), 2 * top + 1), basis.table.dtype)
        for l, (own, matrix) in enumerate(zip(basis.split(coefficients), matrices, strict=True)):
            turned = jnp.matmul(own, matrix.T, precision="highest")
            seen = np.abs(np.arange(-l, l + 1)) % 2 == l % 2
            scale = sign_of(l) * constants[l**2 : (l + 1) ** 2][seen]
            columns = basis.table[:, start : start + len(own)]
            own_profile = jnp.matmul(
                columns, turned[:, seen] * jnp.asarray(scale, columns.dtype), precision="highest"
            )
            total = total.at[:, top + np.arange(-l, l + 1)[seen]].add(own_profile)
            start += len(own)
        return total


def fastest_slicing(basis: ProlateBasis) -> AbstractSlicing:
    """As `experiments/hyper_molecules/fits.md` has it: points for few functions, else a turn."""
    return AtEveryPoint() if basis.size < _FEW else AtTurnedPlane.of(basis)


def _in_plane(rotation, grid):
    """A rotation whose first two rows span the plane of `rotationᵀ (kx, ky, 0)`, and the plane's
    points in its coordinates, with z = 0: those of the grid, unless there is a magnification."""
    first = rotation[0] / jnp.linalg.norm(rotation[0])
    second = rotation[1] - jnp.dot(rotation[1], first) * first
    second = second / jnp.linalg.norm(second)
    frame = jnp.stack([first, second, jnp.cross(first, second)])
    small = jnp.matmul(rotation[:2], frame[:2].T, precision="highest")
    inside = inside_circle(grid.size)
    rows, columns = np.nonzero(inside)
    points = grid.kx[columns][:, None] * small[0] + grid.ky[rows][:, None] * small[1]
    return frame, jnp.pad(points, ((0, 0), (0, 1)))
