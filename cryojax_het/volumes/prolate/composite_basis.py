"""Prolate functions of several balls: a basis for a molecule of regions."""

from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

from .basis import ProlateBasis
from .spatial_basis import AbstractSpatialBasis, products


@final
class CompositeBasis(AbstractSpatialBasis):
    """`ψ_k(r - c_m)` of each region `m`, region after region.

    - `centres`: `c_m`, Å.
    """

    regions: tuple[ProlateBasis, ...]
    centres: Float[Array, "m 3"]

    @property
    def size(self):
        return sum(basis.size for basis in self.regions)

    def region_of_each(self) -> np.ndarray:
        """Number of the region that each function is of."""
        return np.repeat(np.arange(len(self.regions)), [basis.size for basis in self.regions])

    def transform(self, coefficients, points):
        ends = np.cumsum([basis.size for basis in self.regions])[:-1]
        parts = zip(self.regions, self.centres, jnp.split(coefficients, ends), strict=True)
        terms = [_wave(points, c)[:, None] * basis.transform(a, points) for basis, c, a in parts]
        return sum(terms[1:], terms[0])

    def mean_frequencies(self):
        return jnp.concatenate([basis.mean_frequencies() for basis in self.regions])

    def blocks(self):
        """All together: off the middle, no function is real or imaginary on a slice."""
        return (np.arange(self.size),)

    def normal(self, points, weight, right):
        columns = []
        for basis, centre in zip(self.regions, self.centres, strict=True):
            even, odd = basis.functions(points)
            order = np.argsort(np.concatenate(basis.blocks()))
            wave = _wave(points, centre)[:, None]
            columns.append(jnp.concatenate([wave * even, 1j * wave * odd], axis=1)[:, order])
        both = jnp.concatenate(columns, axis=1)
        stacked = jnp.concatenate([both.real, both.imag])
        parts = jnp.concatenate([right.real, right.imag])
        gram, side = products(stacked, jnp.concatenate([weight, weight]), parts)
        return (gram,), (side,)


def _wave(points, centre) -> Complex[Array, " f"]:
    return jnp.exp(-2j * jnp.pi * jnp.matmul(points, centre, precision="highest"))
