"""Generalised prolate spheroidal functions of a ball in three dimensions, at any frequency.

    ψ_lnm(r) = r₀^(-3/2) Φ_ln(|r|/r₀) Y_lm(r/|r|)   within the ball of radius r₀,
    ψ̂_lnm(k) = 4π r₀^(3/2) (-i)^l Y_lm(k/|k|) ∫₀¹ Φ_ln(s) j_l(2π r₀ |k| s) s² ds

with band limit `c = 2π r₀ k_max`. Kept are those with a share of their energy in the band above a
threshold, about `2c³/(9π)`; they are orthonormal over the ball. Radial transforms are tabulated in
closed form and interpolated to single precision by eight points of Lagrange. (Slepian 1964, Bell
Syst. Tech. J. 43; Lederman & Singer 2017, arXiv:1704.02899.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .harmonics import real_harmonics
from .radial import radial_prolates
from .spatial_basis import AbstractSpatialBasis, products

STEP = 0.25  # between samples of the table: functions of `q` have no frequency above 1 / 2π
_TAPS = 8
_BEFORE = _TAPS // 2 - 1
_INSIDE = 1 - 1e-5  # of the band: rounding must not move a frequency across its edge


class ProlateBasis(AbstractSpatialBasis):
    """Functions ordered by `l`, then `n`, then `m` from `-l` to `l`.

    - `radius`: `r₀`, Å;
    - `table`: `4π ∫ Φ_ln(s) j_l(qs) s² ds` at steps of `q`, a column for each `(l, n)`;
    - `counts`: of `n` for each `l`; `bandlimit`: `c`.
    """

    radius: Float[Array, ""]
    table: Float[Array, "q n"]
    counts: tuple[int, ...] = eqx.field(static=True)
    bandlimit: float = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of functions."""
        return sum(n * (2 * l + 1) for l, n in enumerate(self.counts))

    @property
    def degree(self) -> int:
        """The largest `l`."""
        return len(self.counts) - 1

    def degrees(self) -> np.ndarray:
        """`l` of each function, `[size]`."""
        return np.concatenate([np.full(n * (2 * l + 1), l) for l, n in enumerate(self.counts)])

    def columns(self) -> np.ndarray:
        """Column of the table of each function, `[size]`."""
        start = np.cumsum([0, *self.counts])
        each = [np.repeat(start[l] + np.arange(n), 2 * l + 1) for l, n in enumerate(self.counts)]
        return np.concatenate(each)

    def split(self, coefficients: Float[Array, "k *p"]) -> list[Float[Array, "_ _ *p"]]:
        """Coefficients of each `l` as a table over `n` and `m`."""
        ends = np.cumsum([n * (2 * l + 1) for l, n in enumerate(self.counts)])
        parts = jnp.split(coefficients, ends[:-1])
        shape = coefficients.shape[1:]
        return [x.reshape(n, -1, *shape) for x, n in zip(parts, self.counts, strict=True)]

    def transform(
        self, coefficients: Float[Array, "k p"], points: Float[Array, "f 3"]
    ) -> Complex[Array, "f p"]:
        """`Σ_k a_kp ψ̂_k` at frequencies `points`, 1/Å; zero beyond the band."""
        length, direction = polar(points)
        radial = self.radial(length)
        start, parts = 0, [jnp.zeros((len(points), coefficients.shape[1]), radial.dtype)] * 2
        harmonics = real_harmonics(direction, self.degree)
        for l, own in enumerate(self.split(coefficients)):
            n, m = own.shape[:2]
            y = harmonics[:, l**2 : (l + 1) ** 2]
            at = jnp.matmul(radial[:, start : start + n], own.reshape(n, -1), precision="highest")
            summed = jnp.einsum("fm,fmp->fp", y, at.reshape(-1, m, own.shape[2]))
            parts[l % 2] = parts[l % 2] + sign_of(l) * summed
            start += n
        return self.radius**1.5 * jax.lax.complex(*parts)

    def functions(
        self, points: Float[Array, "f 3"]
    ) -> tuple[Float[Array, "f e"], Float[Array, "f o"]]:
        """`ψ̂` of the functions of even `l`, which are real, and over `i` of those of odd `l`."""
        length, direction = polar(points)
        radial = self.radius**1.5 * self.radial(length)
        start, parts, harmonics = 0, ([], []), real_harmonics(direction, self.degree)
        for l, n in enumerate(self.counts):
            y = harmonics[:, l**2 : (l + 1) ** 2]
            product = sign_of(l) * radial[:, start : start + n, None] * y[:, None]
            parts[l % 2].append(product.reshape(len(points), -1))
            start += n
        return jnp.concatenate(parts[0], axis=1), jnp.concatenate(parts[1], axis=1)

    def blocks(self):
        """Functions of even degree, then those of odd degree."""
        odd = self.degrees() % 2
        return np.flatnonzero(odd == 0), np.flatnonzero(odd)

    def normal(self, points, weight, right):
        even, odd = self.functions(points)
        pairs = products(even, weight, right.real), products(odd, weight, right.imag)
        return tuple(zip(*pairs, strict=True))

    def mean_frequencies(self):
        q, energy = self._energy()
        mean = (q @ energy) / energy.sum(axis=0)
        return (mean / (2 * np.pi * self.radius))[self.columns()]

    def shares(self) -> Float[Array, " k"]:
        """Of each function's energy that is within the band, to some per cent."""
        _, energy = self._energy()
        return (energy.sum(axis=0) * STEP / (2 * np.pi) ** 3)[self.columns()]

    def _energy(self):
        """`q` within the band, and the energy of each column there."""
        q = table_frequencies(self.bandlimit)
        inside = (q > 0) & (q < self.bandlimit)
        q = jnp.asarray(q[inside], self.table.dtype)
        return q, self.table[inside] ** 2 * q[:, None] ** 2

    def radial(self, length: Float[Array, " f"]) -> Float[Array, "f n"]:
        """The table at frequencies of these lengths, 1/Å; zero beyond the band."""
        return self.interpolated(self.table, length)

    def interpolated(
        self, table: Float[Array, "q c"], length: Float[Array, " f"]
    ) -> Float[Array, "f c"]:
        """Any table over the same `q`."""
        q = 2 * np.pi * self.radius * length
        place = jnp.minimum(q, self.bandlimit) / STEP
        first = jnp.floor(jax.lax.stop_gradient(place))
        weights = lagrange(place - first) * (q < _INSIDE * self.bandlimit)[:, None]
        rows = first.astype(jnp.int32)[:, None] + np.arange(_TAPS)
        return jnp.einsum("ft,ftc->fc", weights, table[rows])


def prolate_basis(radius: float, frequency: float, share: float = 0.5) -> ProlateBasis:
    """All functions of the ball of `radius` Å that have more than `share` of their energy below
    `frequency`, 1/Å.

    Raises `ValueError` for a radius or a frequency that is not positive, or a share not between 0
    and 1, or one that no function has.
    """
    if radius <= 0 or frequency <= 0 or not 0 < share < 1:
        raise ValueError(
            "A ball needs a positive radius, Å, a positive frequency, 1/Å, and a share of energy "
            f"between 0 and 1. Got {radius}, {frequency} and {share}."
        )
    bandlimit = 2 * np.pi * radius * frequency
    q = table_frequencies(bandlimit)
    counts, columns = [], []
    while True:
        l = len(counts)
        found = radial_prolates(l, bandlimit)
        count = int(np.sum(found.share > share))
        if count == 0:
            break
        # ∫ Φ j_l(qs) s² ds is even or odd in q as l is.
        even = np.where(q < 0, (-1.0) ** l, 1.0)
        spherical = 4 * np.pi * np.sqrt(np.pi / 2) * found.leading(count).transform(np.abs(q))
        columns.append(even * spherical)
        counts.append(count)
    if not counts:
        raise ValueError(
            f"No function of a ball of {radius:g} Å has {share:g} of its energy below "
            f"1/{1 / frequency:g} Å: take a larger radius, a higher frequency or a smaller share."
        )
    return ProlateBasis(
        radius=jnp.asarray(radius, jnp.result_type(float)),
        table=jnp.asarray(np.concatenate(columns).T, jnp.result_type(float)),
        counts=tuple(counts),
        bandlimit=float(bandlimit),
    )


def table_frequencies(bandlimit: float) -> Float[np.ndarray, " q"]:
    """`q` of each row of a table: past the band at both ends, as interpolation needs."""
    return STEP * (np.arange(int(bandlimit / STEP) + 1 + _TAPS) - _BEFORE)


def polar(points: Float[Array, "f 3"]) -> tuple[Float[Array, " f"], Float[Array, "f 3"]]:
    """Lengths, and directions; of the origin none, but with finite gradients."""
    squared = jnp.sum(points**2, axis=1)
    somewhere = squared > 0
    length = jnp.where(somewhere, jnp.sqrt(jnp.where(somewhere, squared, 1)), 0)
    return length, points / jnp.where(somewhere, length, 1)[:, None]


def sign_of(degree: int) -> float:
    """`(-i)^l`, over `i` for odd `l`."""
    return (1.0, -1.0, -1.0, 1.0)[degree % 4]


def lagrange(place: Float[Array, " f"]) -> Float[Array, "f t"]:
    """Weights of eight samples at -3 to 4 for a value at `place`, between 0 and 1."""
    nodes = np.arange(_TAPS) - _BEFORE
    away = place[:, None] - nodes
    weights = []
    for t in range(_TAPS):
        others = np.delete(np.arange(_TAPS), t)
        scale = np.prod(nodes[t] - nodes[others])
        weights.append(jnp.prod(away[:, others], axis=1) / scale)
    return jnp.stack(weights, axis=1)
