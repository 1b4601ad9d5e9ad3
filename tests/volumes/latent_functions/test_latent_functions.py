"""What every set of functions of the latent obeys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre

from cryojax_het.volumes.latent_functions.base import mean_and_covariance
from cryojax_het.volumes.latent_functions.circle import CircleInPlane, FourierSeries
from cryojax_het.volumes.latent_functions.interval import Chebyshev, Cosine, Legendre
from cryojax_het.volumes.latent_functions.products import TotalOrder
from cryojax_het.volumes.latent_functions.side_by_side import SideBySide

EVERY = [
    Legendre(0),
    Legendre(4),
    Chebyshev(3),
    Cosine(3),
    FourierSeries(2),
    CircleInPlane(3),
    TotalOrder((Legendre(3), FourierSeries(2)), 3),
    SideBySide((Legendre(2), FourierSeries(1))),
]
ORTHONORMAL = [f for f in EVERY if not isinstance(f, Chebyshev | SideBySide)]
NAMES = lambda f: type(f).__name__ + str(f.count)


@pytest.mark.parametrize("functions", EVERY, ids=NAMES)
def test_laws(functions):
    nodes = functions.nodes(5)
    assert nodes.shape[1] == functions.latent_size
    assert (np.abs(nodes) <= 1).all()
    drawn = functions.of_normal(jnp.asarray(np.linspace(-2, 3, functions.latent_size)))
    assert (jnp.abs(drawn) <= 1).all()
    values = jax.vmap(functions)(jnp.asarray(nodes))
    assert values.shape == (len(nodes), functions.count)
    np.testing.assert_allclose(values[:, 0], 1)
    orders = functions.orders()
    assert orders[0] == 0
    assert (orders >= 0).all()
    there, here = jnp.asarray(nodes[0]), jnp.asarray(nodes[-1])
    step = functions.difference(there, here)
    np.testing.assert_allclose(functions(here + step), values[0], atol=1e-12)
    assert (jnp.abs(step) <= jnp.abs(there - here) + 1e-12).all()
    single = functions(jnp.asarray(nodes[0], jnp.float32))
    assert single.dtype == jnp.float32


@pytest.mark.parametrize("functions", ORTHONORMAL, ids=NAMES)
def test_orthonormal_over_the_range(functions):
    values = np.asarray(jax.vmap(functions)(jnp.asarray(functions.nodes(200))))
    gram = values.T @ values / len(values)
    np.testing.assert_allclose(gram, np.eye(functions.count), atol=2e-3)


def test_polynomials_are_numpys():
    tau = np.linspace(-1, 1, 7)
    for functions, evaluate in ((Legendre(5), legendre.legval), (Chebyshev(5), chebyshev.chebval)):
        found = np.asarray(jax.vmap(functions)(jnp.asarray(tau)[:, None]))
        for p in range(6):
            plain = evaluate(tau, np.eye(6)[p])
            np.testing.assert_allclose(found[:, p] / found[-1, p], plain, atol=1e-12)


def test_a_series_on_the_circle_closes():
    functions = FourierSeries(3)
    np.testing.assert_allclose(
        functions(jnp.array([-1.0])), functions(jnp.array([1.0])), atol=1e-12
    )


def test_directions_in_the_plane_are_the_same_circle():
    angle = np.array([0.4, 2.9, -1.3])
    plane = jnp.asarray(2.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    found = jax.vmap(CircleInPlane(3))(plane)
    around = jax.vmap(FourierSeries(3))(jnp.asarray(angle / np.pi)[:, None])
    np.testing.assert_allclose(found, around, atol=1e-12)
    assert np.isfinite(jax.jacrev(CircleInPlane(2))(jnp.zeros(2))).all()


def test_mean_across_the_cut_of_a_circle():
    latents = jnp.array([[0.9], [-0.9]])
    mean, covariance = mean_and_covariance(FourierSeries(1), jnp.array([0.5, 0.5]), latents)
    assert float(jnp.abs(mean[0])) == pytest.approx(1, abs=1e-12)
    assert float(covariance[0, 0]) == pytest.approx(0.01)
    mean, covariance = mean_and_covariance(Legendre(1), jnp.array([0.5, 0.5]), latents)
    assert float(mean[0]) == pytest.approx(0, abs=1e-12)
    assert float(covariance[0, 0]) == pytest.approx(0.81)


def test_bad_orders_are_told():
    with pytest.raises(ValueError, match="Got -1"):
        Legendre(-1)
    with pytest.raises(ValueError, match="at least one latent"):
        TotalOrder((), 2)
