"""Damped Gauss-Newton on functions whose minima are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.posteriors.levenberg_marquardt import minimise


def test_a_start_is_refused_until_damping_shortens_its_step():
    """`arctan(u) = 0` from afar, where whole Newton steps go to ever larger `|u|`."""
    nothing = lambda u: jnp.zeros(())
    run = jax.jit(lambda u: minimise(jnp.arctan, nothing, u, 60))
    assert run(jnp.array([20.0])).point[0] == pytest.approx(0.0, abs=1e-3)


def test_a_curved_valley_is_followed_and_the_curvature_is_of_its_end():
    """Rosenbrock's function with a penalty that is no square; its Hessian at (1, 1)."""
    residual = lambda u: jnp.stack([10 * (u[1] - u[0] ** 2), 1 - u[0]])
    penalty = lambda u: jnp.cosh(u[0] - 1) - 1
    rest = jax.jit(lambda u: minimise(residual, penalty, u, 80))(jnp.array([-1.2, 1.0]))
    np.testing.assert_allclose(rest.point, 1, atol=1e-3)
    whole = lambda u: 0.5 * residual(u) @ residual(u) + penalty(u)
    np.testing.assert_allclose(rest.curvature, jax.hessian(whole)(jnp.ones(2)), rtol=1e-2)
    assert float(rest.promise) < 1e-5


def test_more_steps_than_needed_change_nothing():
    residual = lambda u: jnp.stack([10 * (u[1] - u[0] ** 2), 1 - u[0]])
    nothing = lambda u: jnp.zeros(())
    ends = [minimise(residual, nothing, jnp.array([-1.2, 1.0]), n).point for n in (100, 200)]
    np.testing.assert_array_equal(ends[0], ends[1])
