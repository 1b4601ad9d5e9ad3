"""The bound against a model whose evidence is known in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.model import Model
from cryojax_het.inference.posterior import Gaussian
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.training.importance_bound import importance_bound

from ..linear_world import planted

KEY = jax.random.key(0)
PRIOR = LocalPrior(0.1, 1.0, 1.0, 0.0)


class Wide(LinearGaussianPosterior):
    """Twice too wide, and off the middle."""

    def infer(self, *arguments):
        exact = LinearGaussianPosterior().infer(*arguments)
        width = jnp.sqrt(jnp.diagonal(exact.covariance, axis1=1, axis2=2))
        latents = eqx.tree_at(
            lambda t: t.conformation, exact.latents, exact.latents.conformation + 0.7 * width
        )
        return Gaussian(latents, 4 * exact.covariance)


@pytest.fixture(scope="module")
def images(tiny):
    return planted(tiny, 12, 1.0)


@pytest.fixture(scope="module")
def bound(images):
    @eqx.filter_jit
    def bound(posterior, draws):
        model = Model(images.volume, images.noise, PRIOR, posterior)
        return importance_bound(model, images.batch, images.grid, KEY, draws)

    return bound


@pytest.fixture(scope="module")
def evidence(images):
    exact = LinearGaussianPosterior()
    found = exact.infer(KEY, images.volume, images.noise, PRIOR, images.batch, images.grid)
    return np.asarray(found.log_likelihood)


def test_any_draw_of_the_exact_posterior_tells_the_evidence(bound, evidence):
    for draws in (1, 3):
        np.testing.assert_allclose(bound(LinearGaussianPosterior(), draws), evidence, rtol=1e-6)


def test_more_draws_of_a_wrong_one_come_nearer_from_below(bound, evidence):
    gaps = [float(np.mean(evidence - bound(Wide(), draws))) for draws in (1, 8, 400)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[0] > 0.5
    assert abs(gaps[2]) < 0.02


def test_a_posterior_that_is_no_density_is_refused(images):
    model = Model(images.volume, images.noise, PRIOR, AsGiven())
    with pytest.raises(TypeError, match=r"needs a `Gaussian` posterior\. Got Point"):
        importance_bound(model, images.batch, images.grid, KEY, 2)
