"""Radial prolates against their definition by quadrature, and an operator discretised by hand."""

import numpy as np
import pytest
import scipy.special

from cryojax_het.volumes.prolate.radial import radial_prolates
from cryojax_het.volumes.prolate.zernike import zernike, zernike_transform

C = 20 * np.pi


def quadrature(count):
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return 0.5 * (nodes + 1), 0.5 * weights


def bessel_kernel(nu, c, x, y):
    product = c * np.outer(x, y)
    return scipy.special.jv(nu, product) * np.sqrt(product)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("degree", [0, 1, 5, 20])
def test_zernike_functions_are_orthonormal_and_transform_as_stated(degree, dimension):
    y, w = quadrature(200)
    values = zernike(degree, dimension, 12, y)
    gram = (values * w * y ** (dimension - 1)) @ values.T
    np.testing.assert_allclose(gram, np.eye(12), atol=1e-12)
    q = np.array([0.3, 2.0, 9.0, 40.0])
    nu = degree + dimension / 2 - 1
    product = np.outer(q, y)
    kernel = scipy.special.jv(nu, product) * product ** (1 - dimension / 2)
    direct = (kernel * w * y ** (dimension - 1)) @ values.T
    np.testing.assert_allclose(zernike_transform(degree, dimension, 12, q), direct.T, atol=1e-12)
    at_zero = zernike_transform(degree, dimension, 3, np.zeros(1))[:, 0]
    tiny = zernike_transform(degree, dimension, 3, np.array([1e-5]))[:, 0]
    np.testing.assert_allclose(at_zero, tiny, atol=1e-5)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("degree", [0, 1, 5, 20])
def test_gram_and_eigen_relation(degree, dimension):
    found = radial_prolates(degree, C, dimension).leading(15)
    y, w = quadrature(400)
    own = found.values(y) * y ** ((dimension - 1) / 2)
    np.testing.assert_allclose((own * w) @ own.T, np.eye(15), atol=1e-11)
    x = np.linspace(0.02, 1, 60)
    operator = bessel_kernel(degree + dimension / 2 - 1, C, x, y) * w
    left = operator @ own.T
    right = found.gamma * (found.values(x) * x ** ((dimension - 1) / 2)).T
    np.testing.assert_allclose(left, right, atol=1e-12)


@pytest.mark.parametrize(("degree", "dimension", "c"), [(0, 3, 15.7), (3, 3, 30.0), (2, 2, 12.0)])
def test_eigenvalues_of_an_operator_discretised_by_hand(degree, dimension, c):
    """The finite Hankel transform on Gauss-Legendre nodes is a symmetric matrix; its eigenvalues
    know nothing of Zernike functions or of a differential operator."""
    y, w = quadrature(300)
    kernel = bessel_kernel(degree + dimension / 2 - 1, c, y, y)
    matrix = np.sqrt(w[:, None] * w) * kernel
    direct = np.linalg.eigvalsh(matrix)
    direct = direct[np.argsort(-np.abs(direct))][:8]
    found = radial_prolates(degree, c, dimension).gamma[:8]
    np.testing.assert_allclose(np.abs(found), np.abs(direct), atol=1e-13)
    assert np.array_equal(np.sign(found), (-1.0) ** np.arange(8))


def test_transform_within_the_band_is_the_function_itself():
    found = radial_prolates(4, 25.0).leading(5)
    x = np.linspace(0.05, 1, 30)
    expected = found.gamma[:, None] / found.bandlimit * found.values(x)
    np.testing.assert_allclose(found.transform(found.bandlimit * x), expected, atol=1e-14)


def test_number_of_functions():
    """Of the methods' sheet, from another program: 306 at `c` = 15.7 and 0.3 of the energy."""
    counts = []
    while not counts or counts[-1]:
        share = radial_prolates(len(counts), 15.7).share
        counts.append(int(np.sum(share > 0.3)))
    assert sum(n * (2 * l + 1) for l, n in enumerate(counts)) == 306


def test_bad_arguments_are_told():
    with pytest.raises(ValueError, match="Got -1"):
        radial_prolates(-1, 10.0)
    with pytest.raises(ValueError, match="positive band limit"):
        radial_prolates(0, 0.0)
