"""What every set of functions of the latent obeys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev, legendre

from cryojax_het.volumes.latent_functions.circle import FourierSeries
from cryojax_het.volumes.latent_functions.interval import Chebyshev, Cosine, Legendre
from cryojax_het.volumes.latent_functions.products import TotalOrder

EVERY = [
    Legendre(0),
    Legendre(4),
    Chebyshev(3),
    Cosine(3),
    FourierSeries(2),
    TotalOrder((Legendre(3), FourierSeries(2)), 3),
]
ORTHONORMAL = [f for f in EVERY if not isinstance(f, Chebyshev)]
NAMES = lambda f: type(f).__name__ + str(f.count)


@pytest.mark.parametrize("functions", EVERY, ids=NAMES)
def test_laws(functions):
    nodes = functions.nodes(5)
    assert nodes.shape == (5**functions.latent_size, functions.latent_size)
    assert (np.abs(nodes) < 1).all()
    values = jax.vmap(functions)(jnp.asarray(nodes))
    assert values.shape == (len(nodes), functions.count)
    np.testing.assert_allclose(values[:, 0], 1)
    orders = functions.orders()
    assert orders[0] == 0
    assert (np.diff(orders) >= 0).all()
    fewer = functions.leading(1)
    assert fewer.count == np.sum(orders <= 1)
    np.testing.assert_allclose(jax.vmap(fewer)(jnp.asarray(nodes)), values[:, : fewer.count])
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


def test_bad_orders_are_told():
    with pytest.raises(ValueError, match="Got -1"):
        Legendre(-1)
    with pytest.raises(ValueError, match="at least one latent"):
        TotalOrder((), 2)
