import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cryojax_het.inference.parameter_prior import (
    HalfNormalDeviation,
    InverseGammaPower,
    NormalParameters,
)

PRIORS = {  # and the density of a value
    "normal": (NormalParameters(1.5, 0.4), stats.norm(1.5, 0.4).logpdf),
    "inverse gamma": (InverseGammaPower(3.0, 2.0), stats.invgamma(3.0, scale=2.0).logpdf),
    "half normal": (
        HalfNormalDeviation(0.7),
        lambda p: stats.halfnorm(scale=0.7).logpdf(np.sqrt(p)) - np.log(2 * np.sqrt(p)),
    ),
}
each = pytest.mark.parametrize("name", PRIORS)


@each
def test_density_is_that_of_the_value_times_the_jacobian(name):
    prior, log_density = PRIORS[name]
    free = jnp.array([-0.7, 0.1, 0.9])
    value = prior.value(free)
    np.testing.assert_allclose(prior.free(value), free, atol=1e-12)
    jacobian = jnp.diagonal(jax.jacfwd(prior.value)(free))
    wanted = log_density(np.asarray(value)) + np.log(np.asarray(jacobian))
    assert float(prior.log_prob(free)) == pytest.approx(wanted.sum(), rel=1e-9)


@each
def test_draws_have_the_density(name):
    prior, _ = PRIORS[name]
    draws = np.asarray(prior.sample(jax.random.key(0), (20_000,)))
    grid = jnp.linspace(-30, 6, 12_001)
    weight = jax.nn.softmax(jax.vmap(lambda f: prior.log_prob(f[None]))(grid))
    mean = float(weight @ grid)
    assert draws.mean() == pytest.approx(mean, abs=0.05)
    assert draws.var() == pytest.approx(float(weight @ (grid - mean) ** 2), rel=0.05)
