"""The evidence bound, against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from cryojax_het.inference.encoders.encoded import Encoded
from cryojax_het.inference.encoders.encoder import AbstractEncoder, Code
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.training.balance import AsGivenBalance, BalancedGradients, norm
from cryojax_het.inference.training.objective import Terms, evidence_terms, expected_loss

KEY = jax.random.key(0)
PRIOR = LocalPrior(0.1, 1.0, 1.0, 0.1)


class Told(AbstractEncoder):
    """The same belief for each image."""

    code: Code
    latent_size: int = eqx.field(static=True, default=2)

    def encode(self, view, grid):
        return self.code

    def trained(self):
        return [self.code]


def test_divergence_is_that_of_normal_densities(rod_images):
    mean, width = np.array([0.3, -1.2]), np.array([0.5, 1.4])
    told = Told(code=Code(jnp.asarray(mean), jnp.log(width)))
    model = Model(rod_images.reference(), rod_images.noise, PRIOR, Encoded(told))
    terms, belief = evidence_terms(model, rod_images.take(np.arange(2)), rod_images.grid, KEY)
    for place in range(2):
        where = (mean[place], width[place])
        log = lambda z, at=where: stats.norm.logpdf(z, *at)
        integrand = lambda z, log=log: np.exp(log(z)) * (log(z) - stats.norm.logpdf(z))
        expected = integrate.quad(integrand, -9, 9)[0]
        np.testing.assert_allclose(terms.divergence[:, place], expected, rtol=1e-6)
    np.testing.assert_allclose(belief.covariance[0], np.diag(width**2))
    assert not np.array_equal(terms.conformation[0], terms.conformation[1])


def test_gain_is_of_the_particle_over_none(rod_images):
    """Its mean over images of nothing but noise is negative, over images of the molecule not."""
    told = Told(code=Code(jnp.zeros(2), jnp.zeros(2)))
    model = Model(rod_images.reference(), rod_images.noise, PRIOR, Encoded(told))
    batch = rod_images.take(np.arange(32))
    turned = eqx.tree_at(lambda b: b.images, batch, -batch.images)
    of = lambda b: evidence_terms(model, b, rod_images.grid, KEY)[0].gain
    assert float(jnp.mean(of(batch))) > 0
    assert float(jnp.mean(of(turned))) < 0


def test_free_nats_are_of_the_batchs_mean():
    terms = Terms(jnp.array([1.0, 3.0]), jnp.array([[0.0, 4.0], [0.2, 2.0]]), jnp.zeros((2, 2)))
    weight = jnp.ones(2)
    loss = lambda beta, free: float(expected_loss(terms, weight, jnp.asarray(beta), free))
    assert loss(1.0, 0.0) == pytest.approx(0.1 + 3 - 2)
    assert loss(1.0, 0.5) == pytest.approx(0.5 + 3 - 2)
    assert loss(0.0, 0.5) == pytest.approx(-2)


def test_a_posterior_that_is_no_density_is_refused(rod_images):
    model = Model(rod_images.reference(), rod_images.noise, PRIOR, AsGiven())
    with pytest.raises(TypeError, match=r"needs a `Gaussian` posterior\. Got Point"):
        evidence_terms(model, rod_images.take(np.arange(2)), rod_images.grid, KEY)


def test_balances():
    two, four = jnp.asarray(2.0), jnp.asarray(4.0)
    assert BalancedGradients(0.9).factor(two, four) == pytest.approx(0.45)
    assert BalancedGradients(0.9, most=0.1).factor(two, four) == pytest.approx(0.1)
    assert BalancedGradients().factor(two, jnp.asarray(0.0)) == 0
    assert AsGivenBalance(3.0).factor(two, four) == 3
    assert norm({"a": jnp.array([3.0]), "b": jnp.array([[4.0]])}) == pytest.approx(5)
