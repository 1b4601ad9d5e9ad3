import gemmi
import numpy as np
import pytest

from cryojax_het.structures.scattering import electron_factors

# f(0) in Å: International Tables C, table 4.3.1.1.
AT_ZERO = {1: 0.529, 6: 2.509, 7: 2.211, 8: 1.983, 16: 5.161, 26: 7.165}


@pytest.mark.parametrize("number", AT_ZERO)
def test_values_at_zero_are_those_of_the_tables(number):
    a, _ = electron_factors(np.array([number]))
    assert a.sum() == pytest.approx(AT_ZERO[number], rel=5e-3)


@pytest.mark.parametrize("number", [6, 7, 8, 16])
def test_mott_bethe_relation_with_x_ray_factors(number):
    # f(s) = m e² / (8 π² ε0 ħ²) (Z - f_X(s)) / s², an independent table.
    a, b = electron_factors(np.array([number]))
    for s in (0.1, 0.2, 0.3, 0.5, 0.8):
        x_ray = gemmi.Element(number).it92.calculate_sf(s**2)
        expected = 0.0239337 * (number - x_ray) / s**2
        k = 2 * s
        assert (a[0] * np.exp(-b[0] * k**2 / 4)).sum() == pytest.approx(expected, rel=0.04)


def test_unknown_element():
    with pytest.raises(ValueError, match="Got 99"):
        electron_factors(np.array([6, 99]))
