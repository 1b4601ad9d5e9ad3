"""Zernike functions of a ball: orthonormal by quadrature, and as another code has them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.volumes.prolate.harmonics import lm, real_harmonics
from cryojax_het.volumes.prolate.zernike import zernike
from cryojax_het.volumes.zernike_basis import ZernikeOrder, zernike_functions


def quadrature(degree):
    """Points and weights in the unit ball that are exact for polynomials of `degree`."""
    count = degree // 2 + 2
    nodes, weights = np.polynomial.legendre.leggauss(count)
    r, wr = 0.5 * (nodes + 1), 0.5 * weights
    phi = 2 * np.pi * np.arange(degree + 1) / (degree + 1)
    r, z, phi = np.meshgrid(r, nodes, phi, indexing="ij")
    rho = np.sqrt(1 - z**2)
    points = np.stack([r * rho * np.cos(phi), r * rho * np.sin(phi), r * z], axis=-1)
    weight = (wr[:, None] * weights)[:, :, None] * r**2 * (2 * np.pi / (degree + 1))
    return points.reshape(-1, 3), np.broadcast_to(weight, r.shape).ravel()


@pytest.mark.parametrize(("order", "size"), [((3, 2), 13), ((7, 5), 92)])
def test_they_are_orthonormal_on_the_ball(order, size):
    order = ZernikeOrder(*order)
    points, weights = quadrature(2 * order.radial + 2)
    table = np.asarray(zernike_functions(jnp.asarray(points), order))
    assert table.shape[1] == order.size == size
    gram = table.T @ (weights[:, None] * table)
    np.testing.assert_allclose(gram, np.eye(size), atol=1e-12)


def test_they_are_radial_functions_times_harmonics():
    order = ZernikeOrder(7, 5)
    rng = np.random.default_rng(0)
    points = rng.normal(size=(50, 3))
    points *= (rng.uniform(size=50) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
    radius = np.linalg.norm(points, axis=1)
    angular = np.asarray(real_harmonics(jnp.asarray(points / radius[:, None]), order.angular))
    columns, l = [], lm(order.angular)[0]
    radial = [zernike(d, 3, n, radius) for d, n in enumerate(order.counts())]
    for k in range(max(order.counts())):
        columns += [angular[:, i] * radial[d][k] for i, d in enumerate(l) if k < len(radial[d])]
    table = zernike_functions(jnp.asarray(points), order)
    np.testing.assert_allclose(table, np.stack(columns, axis=1), atol=1e-12)


def test_slopes_are_finite_at_the_centre():
    slopes = jax.jacfwd(lambda r: zernike_functions(r[None], ZernikeOrder(7, 5))[0])(jnp.zeros(3))
    assert np.isfinite(slopes).all()
    assert np.any(np.asarray(slopes) != 0)


def test_orders_that_are_not():
    with pytest.raises(ValueError, match="radial 1 and angular 2"):
        zernike_functions(jnp.zeros((1, 3)), ZernikeOrder(1, 2))
