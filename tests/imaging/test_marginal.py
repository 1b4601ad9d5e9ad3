"""Marginal likelihoods against numerical integrals over the contrast and sums over shifts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from cryojax_het.imaging import marginal
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import translate
from cryojax_het.imaging.noise import ColouredNoise, WhiteNoise
from cryojax_het.volumes.gaussians import example

GRID = FourierGrid(16, 1.3)
PRIOR = (jnp.asarray(0.9), jnp.asarray(0.3))
NOISES = {
    "white": WhiteNoise(jnp.asarray(30.0)),
    "coloured": ColouredNoise(jnp.linspace(60.0, 10.0, 9)),
}
each_noise = pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)


@jax.jit
def images(noise):
    volume = example(jax.random.key(0), GRID)
    mean = 2.0 * volume.slice(jnp.zeros(0), jnp.eye(3), GRID)
    moved = 1.2 * translate(mean, jnp.array([1.0, -1.7]), GRID)
    return noise.sample(jax.random.key(1), moved, GRID), mean


def contrast_nodes():
    s = np.linspace(-2.1, 3.9, 801)  # ten prior widths either side: the trapezium rule is exact
    centre, width = map(float, PRIOR)
    log_prior = -0.5 * ((s - centre) / width) ** 2 - np.log(width * np.sqrt(2 * np.pi))
    return s, log_prior + np.log(s[1] - s[0])


@jax.jit
def at_contrasts(noise, observed, mean, s):
    return jax.vmap(lambda s: noise.log_prob(observed, s * mean, GRID))(s)


def along_contrast(noise, observed, mean):
    s, log_weight = contrast_nodes()
    return s, np.asarray(at_contrasts(noise, observed, mean, jnp.asarray(s))) + log_weight


@each_noise
def test_contrast_integrated_out(noise):
    observed, mean = images(noise)
    _, terms = along_contrast(noise, observed, mean)
    got = jax.jit(marginal.log_marginal_contrast)(noise, observed, mean, PRIOR, GRID)
    assert float(got) == pytest.approx(logsumexp(terms), abs=1e-8)


@each_noise
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_positive_contrast_integrated_out(noise, sign):
    observed, mean = images(noise)
    observed = 0.05 * sign * observed  # faint, so that the cut counts
    nodes, weights = np.polynomial.legendre.leggauss(400)
    s, dense = 2.5 * (nodes + 1), 2.5 * weights
    centre, width = map(float, PRIOR)
    prior = stats.truncnorm(-centre / width, np.inf, centre, width).logpdf(s)
    terms = np.asarray(at_contrasts(noise, observed, mean, jnp.asarray(s))) + prior
    got = jax.jit(marginal.log_marginal_positive_contrast)(noise, observed, mean, PRIOR, GRID)
    assert float(got) == pytest.approx(logsumexp(terms, b=dense), abs=1e-7)


def test_an_image_turned_dark_is_told_by_the_positive_contrast():
    observed, mean = images(NOISES["white"])
    slope = jax.grad(
        lambda s: marginal.log_marginal_positive_contrast(
            NOISES["white"], observed, s * mean, PRIOR, GRID
        )
    )
    assert all(float(slope(s)) > 0 for s in (-10.0, -1.0, -0.1))
    known = (jnp.float64(1.0), jnp.float64(0.0))
    args = (NOISES["white"], observed, mean, known, GRID)
    got = jax.value_and_grad(marginal.log_marginal_positive_contrast, 2)(*args)
    want = jax.value_and_grad(marginal.log_marginal_contrast, 2)(*args)
    np.testing.assert_allclose(got[0], want[0])
    np.testing.assert_allclose(got[1], want[1])


@each_noise
def test_contrast_posterior(noise):
    observed, mean = images(noise)
    s, terms = along_contrast(noise, observed, mean)
    probability = np.exp(terms - logsumexp(terms))
    centre = (probability * s).sum()
    got = jax.jit(marginal.contrast_posterior)(noise, observed, mean, PRIOR, GRID)
    assert float(got[0]) == pytest.approx(centre, abs=1e-8)
    assert float(got[1]) == pytest.approx((probability * (s - centre) ** 2).sum(), abs=1e-8)


def shifts(oversampling):
    """(x, y) in Å of entry [i, j] of the correlation, flattened."""
    m = 16 * oversampling
    steps = (np.arange(m) - m // 2) * 1.3 / oversampling
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=-1)


@each_noise
@pytest.mark.parametrize("oversampling", [1, 2, 3])
def test_correlation_at_every_shift(noise, oversampling):
    observed, mean = images(noise)
    weight = np.asarray(GRID.weights() / noise.variance(GRID))

    @jax.jit
    @jax.vmap
    def direct(shift):
        product = (translate(mean, shift, GRID).conj() * observed).real
        return jnp.sum(weight * jnp.asarray(GRID.inside()) * product)

    m = 16 * oversampling
    expected = direct(jnp.asarray(shifts(oversampling))).reshape(m, m)
    got = jax.jit(marginal.shift_correlation, static_argnums=4)(
        noise, observed, mean, GRID, oversampling
    )
    np.testing.assert_allclose(got, expected, atol=1e-8)


def log_prior_of_shifts(oversampling):
    square = (shifts(oversampling) ** 2).sum(axis=1)
    log_prior = np.where(square < 5.0**2, -square / (2 * 3.0**2), -np.inf)
    m = 16 * oversampling
    return jnp.asarray((log_prior - logsumexp(log_prior)).reshape(m, m))


@each_noise
@pytest.mark.parametrize("oversampling", [1, 2])
def test_shift_summed_out(noise, oversampling):
    observed, mean = images(noise)
    log_prior = log_prior_of_shifts(oversampling)
    each = jax.vmap(lambda t: noise.log_prob(observed, translate(mean, t, GRID), GRID))
    terms = np.asarray(jax.jit(each)(jnp.asarray(shifts(oversampling)))) + log_prior.ravel()
    got = jax.jit(marginal.log_marginal_shift)(noise, observed, mean, log_prior, GRID)
    assert float(got) == pytest.approx(logsumexp(terms), abs=1e-8)


@each_noise
def test_shift_and_contrast_both(noise):
    observed, mean = images(noise)
    log_prior = log_prior_of_shifts(2)
    allowed = np.isfinite(log_prior).ravel()
    moved = jax.jit(lambda t: translate(mean, t, GRID))
    terms = [
        logsumexp(along_contrast(noise, observed, moved(jnp.asarray(t)))[1])
        for t in shifts(2)[allowed][::7]
    ]
    # Every seventh of the allowed shifts, so that the brute force stays quick.
    chosen = np.full(log_prior.size, -np.inf)
    chosen[np.flatnonzero(allowed)[::7]] = np.asarray(log_prior).ravel()[allowed][::7]
    got = jax.jit(marginal.log_marginal_shift_contrast)(
        noise, observed, mean, jnp.asarray(chosen.reshape(log_prior.shape)), PRIOR, GRID
    )
    expected = logsumexp(np.array(terms) + chosen[np.isfinite(chosen)])
    assert float(got) == pytest.approx(expected, abs=1e-8)


def test_gradients_are_finite_where_shifts_are_forbidden():
    noise = NOISES["white"]
    observed, mean = images(noise)
    loss = lambda scale: marginal.log_marginal_shift_contrast(
        noise, observed, scale * mean, log_prior_of_shifts(1), PRIOR, GRID
    )
    value = jax.jit(loss)
    numeric = (value(1.0 + 1e-4) - value(1.0 - 1e-4)) / 2e-4
    assert float(jax.jit(jax.grad(loss))(1.0)) == pytest.approx(float(numeric), rel=1e-5)
