"""Atoms projected exactly in Fourier space, by electron scattering factors and B-factors.

    F(k) = Σ_e f_e(|k|) Σ_{j in e} o_j exp(-B_j k²/4) exp(-2πi k·c_j)

over elements `e` and their atoms at `c_j` of occupancy `o_j`. Everything in the inner sum splits
over the axes, so that a slice is one real matrix product per element; no voxels are involved.
"""

import functools
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int

from ..imaging.grid import FourierGrid
from ..structures.atoms import Atoms
from ..structures.scattering import electron_factors
from ..volumes.base import AbstractVolume

_LARGEST_GROUP = 16384  # atoms per matrix product: bounds the memory of the phase tables
_ALIGNMENT = 64  # matrix products over ragged rows are a third slower


class AtomGroup(eqx.Module):
    """Atoms of one element: positions Å, B-factors Å², occupancies, and the coefficients of
    `f(k) = Σ_i a_i exp(-b_i k²/4)`, in Å."""

    positions: Float[Array, "j 3"]
    b_factors: Float[Array, " j"]
    occupancies: Float[Array, " j"]
    a: Float[Array, "5"]
    b: Float[Array, "5"]

    def form_factor(self, k_squared: Float[Array, "*k"]) -> Float[Array, "*k"]:
        """`f(k)` in Å at squared frequencies in 1/Å²."""
        terms = self.a * jnp.exp(-self.b / 4 * k_squared[..., None])
        return jnp.sum(terms, axis=-1)

    def envelope(self, grid: FourierGrid) -> Float[Array, "h j"]:
        """`exp(-B_j kx²/4)` at the frequencies `kx` below Nyquist; the same along y."""
        return jnp.exp(-self.b_factors / 4 * grid.kx[: grid.size // 2, None] ** 2)


class AtomicPotential(AbstractVolume):
    """A rigid molecule of atoms. Has no latent. Its density is in Å per Å³ (times 47.878 V·Å²: the
    potential in volts).

    `slice` takes a rotation alone: form factors are those of an isotropic frequency, so that a
    magnification would not be exact.
    """

    groups: tuple[AtomGroup, ...]
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        return self.prepare(grid).slice(latent, rotation, grid)

    def density(self, latent, grid):
        """Band-limited to the sphere inside Nyquist, exact there: what a perfect reconstruction
        at this pixel size gives."""
        del latent
        return _density(self.groups, grid)

    def prepare(self, grid):
        """Tabulate what no rotation changes: envelopes and form factors."""
        half = grid.size // 2
        k_squared = grid.k_squared()[:half, :half]
        envelopes = tuple(group.envelope(grid) for group in self.groups)
        factors = tuple(group.form_factor(k_squared) for group in self.groups)
        return PreparedPotential(source=self, envelopes=envelopes, factors=factors)


class PreparedPotential(AbstractVolume):
    """`AtomicPotential` with its tables for one grid."""

    source: AtomicPotential
    envelopes: tuple[Float[Array, "h j"], ...]
    factors: tuple[Float[Array, "h h"], ...]
    latent_size: int = eqx.field(static=True, default=0)

    def slice(self, latent, rotation, grid):
        del latent
        groups = self.source.groups
        frame = rotation[:2] / grid.length
        # Column by column: a matrix product of three columns is ten times slower on a CPU.
        in_plane = lambda x, y, z: jnp.stack([f[0] * x + f[1] * y + f[2] * z for f in frame])
        turns = jnp.concatenate([in_plane(*group.positions.T) for group in groups], axis=1)
        weights = [group.occupancies for group in groups]
        products = _quadrants(turns, weights, self.envelopes)
        total = _weighted(self.factors, products)
        return _half_plane(total) * jnp.asarray(grid.inside(), total.dtype)

    def density(self, latent, grid):
        return self.source.density(latent, grid)

    def prepare(self, grid):
        return self.source.prepare(grid)


def atomic_potential(atoms: Atoms) -> AtomicPotential:
    """A rigid molecule of these atoms, where they are."""
    groups = []
    for rows, group in element_groups(atoms):
        positions = jnp.asarray(atoms.positions[rows], jnp.result_type(float))
        occupancies = group.occupancies * jnp.asarray(atoms.occupancies[rows], positions.dtype)
        groups.append(AtomGroup(positions, group.b_factors, occupancies, a=group.a, b=group.b))
    return AtomicPotential(groups=tuple(groups))


def element_groups(atoms: Atoms) -> Iterator[tuple[Int[np.ndarray, " g"], AtomGroup]]:
    """Rows of the atoms of one element, at most 16384 to a group, and the group they make, at the
    origin. Groups are filled up to multiples of 64; `occupancies` is 0 for atoms that do so, else
    1."""
    numbers = np.unique(atoms.atomic_numbers)
    factors = electron_factors(numbers)
    real = lambda values: jnp.asarray(values, jnp.result_type(float))
    for number, a, b in zip(numbers, factors.a, factors.b, strict=True):
        mine = np.flatnonzero(atoms.atomic_numbers == number)
        for piece in np.array_split(mine, -(-len(mine) // _LARGEST_GROUP)):
            rows = np.pad(piece, (0, -len(piece) % _ALIGNMENT), mode="edge")
            present = np.arange(len(rows)) < len(piece)
            zero = jnp.zeros((len(rows), 3), jnp.result_type(float))
            group = AtomGroup(
                zero, real(atoms.b_factors[rows]), real(present), a=real(a), b=real(b)
            )
            yield rows, group


def _quadrants(turns, weights, envelopes):
    """Per group, `Σ_j w_j e_j(ky) e_j(kx) {cos, sin}(2π ky y_j) {cos, sin}(2π kx x_j)` at `ky` and
    `kx >= 0`, as `[2, h, 2, h]`.

    `turns` `[2, j]` are the positions of all groups over the box length. Both signs of `ky` follow
    from these four real products: half the work of a complex one over the half-plane.
    """
    half = envelopes[0].shape[0]
    coarse, fine = _powers_of_waves(turns, half)
    first, products = 0, []
    for weight, envelope in zip(weights, envelopes, strict=True):
        piece = (..., slice(first, first + len(weight)))
        first += len(weight)
        x, y = (
            _waves([t[:, axis][piece] for t in coarse], [t[:, axis][piece] for t in fine], scale)
            for axis, scale in ((0, envelope), (1, envelope * weight))
        )
        # Contracted over atoms, both operands' fastest axis: the layout that BLAS runs fastest.
        product = jnp.matmul(y, x.T, precision="highest")
        products.append(product.reshape(2, half, 2, half))
    return products


def _waves(coarse, fine, scale: Float[Array, "h j"]) -> Float[Array, "2*h j"]:
    """Rows `scale · cos(2π m turn)`, then the sines, for `m = 0, 1, ..., h - 1`.

    `exp(iθm)` at `m = F·a + b` is a product of two short tables of powers: two transcendental
    functions per atom and axis instead of 2h.
    """
    (cos_a, sin_a), (cos_b, sin_b) = coarse, fine
    half, count = scale.shape
    rows = lambda table: table.reshape(-1, count)[:half] * scale
    cosine = rows(cos_a[:, None] * cos_b - sin_a[:, None] * sin_b)
    sine = rows(sin_a[:, None] * cos_b + cos_a[:, None] * sin_b)
    return jnp.concatenate([cosine, sine])


def _powers_of_waves(turns: Float[Array, "2 j"], half: int):
    """Cosines and sines of `2π m turns` at `m = 0, F, 2F, ...` and at `m = 0, ..., F - 1`."""
    fine = max(1, round(np.sqrt(half)))
    angle = 2 * jnp.pi * (turns - jnp.round(turns))
    step, low = _powers(jnp.cos(angle), jnp.sin(angle), fine)
    _, high = _powers(*step, -(-half // fine))
    return high, low


def _powers(cosine, sine, count):
    """`z^count` and the table `z^0 ... z^(count-1)` of `z = cos + i sin`, as pairs of reals."""

    # A loop and not a formula: XLA would fuse a formula into its consumer and evaluate it there
    # once per entry of the large table.
    def step(power, _):
        c, s = power
        return (c * cosine - s * sine, c * sine + s * cosine), power

    return jax.lax.scan(step, (jnp.ones_like(cosine), jnp.zeros_like(sine)), None, length=count)


def _weighted(factors, products) -> Float[Array, "2 h 2 h"]:
    """The sum of the groups' products, each times its form factor."""
    terms = [f[:, None, :] * p for f, p in zip(factors, products, strict=True)]
    return functools.reduce(jnp.add, terms)


def _half_plane(quadrants: Float[Array, "2 h 2 h"]) -> Complex[Array, "y x"]:
    """Both signs of `ky`, in FFT order, with zero Nyquist row and column."""
    half = quadrants.shape[1]
    (cc, cs), (sc, ss) = (quadrants[i].swapaxes(0, 1) for i in (0, 1))
    positive = jax.lax.complex(cc - ss, -(sc + cs))
    negative = jax.lax.complex(cc + ss, sc - cs)[:0:-1]
    rows = jnp.concatenate([positive, jnp.zeros((1, half), positive.dtype), negative])
    return jnp.pad(rows, [(0, 0), (0, 1)])


def _density(groups, grid):
    """Voxels `[z, y, x]`, a plane of the transform at a time."""
    half = grid.size // 2
    envelopes = [group.envelope(grid) for group in groups]
    turns = jnp.concatenate([group.positions[:, :2].T for group in groups], axis=1) / grid.length

    def plane(kz, wave):
        weights = [
            g.occupancies * jnp.exp(-g.b_factors / 4 * kz**2) * wave(kz * g.positions[:, 2])
            for g in groups
        ]
        k_squared = grid.k_squared()[:half, :half] + kz**2
        products = _quadrants(turns, weights, envelopes)
        total = _weighted([group.form_factor(k_squared) for group in groups], products)
        return _half_plane(total) * (grid.k_squared() + kz**2 < (half / grid.length) ** 2)

    def both_signs(number):
        kz = number / grid.length
        even = plane(kz, lambda turn: jnp.cos(2 * jnp.pi * turn))
        odd = 1j * plane(kz, lambda turn: jnp.sin(2 * jnp.pi * turn))
        return even - odd, even + odd

    above, below = jax.lax.map(both_signs, jnp.arange(half, dtype=grid.pixel_size.dtype))
    transform = jnp.concatenate([above, jnp.zeros_like(above[:1]), below[:0:-1]])
    rows, columns = np.arange(grid.size), np.arange(half + 1)
    centring = 1 - 2 * ((rows[:, None, None] + rows[:, None] + columns) % 2)
    voxels = jnp.fft.irfftn(transform * centring, s=(grid.size,) * 3)
    return voxels / grid.pixel_size**3
