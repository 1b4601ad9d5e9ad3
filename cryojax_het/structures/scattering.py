"""Electron scattering factors of neutral atoms, as sums of five Gaussians.

`f(k) = Σ_i a_i exp(-b_i k²/4)` in Å, `k` the spatial frequency in 1/Å (`k/2 = sin θ/λ`, for
`k <= 4`): International Tables for Crystallography C, table 4.3.2.2 (Peng, Ren, Dudarev & Whelan,
Acta Cryst. A52 (1996) 257). In real space an atom of B-factor `B` is a sum of normalised Gaussians
of mass `a_i` and variance `(b_i + B) / 8π²`. Times 47.878 V·Å² it is the potential in volts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class ScatteringFactors(NamedTuple):
    """Coefficients per element: amplitudes `a` in Å and exponents `b` in Å²."""

    a: Float[np.ndarray, "e 5"]
    b: Float[np.ndarray, "e 5"]


def electron_factors(atomic_numbers: Int[np.ndarray, " e"]) -> ScatteringFactors:
    """Coefficients of these elements (1 to 98). Raises `ValueError` for any other number."""
    import gemmi

    for number in atomic_numbers:
        if not 1 <= number <= 98:
            raise ValueError(f"Scattering factors exist for elements 1 to 98. Got {number}.")
    tables = [gemmi.Element(int(number)).c4322 for number in atomic_numbers]
    shape = (len(tables), 5)
    a = np.array([table.a for table in tables], np.float64).reshape(shape)
    return ScatteringFactors(a, np.array([t.b for t in tables], np.float64).reshape(shape))
