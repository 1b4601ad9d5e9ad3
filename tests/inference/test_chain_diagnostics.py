"""Diagnostics of chains whose truth is known: independent, correlated, apart, of unequal width."""

import numpy as np
import pytest

from cryojax_het.inference.chain_diagnostics import bulk_size, r_hat, tail_size

CHAINS, DRAWS = 4, 2000


@pytest.fixture(scope="module")
def normal():
    return np.random.default_rng(0).normal(size=(CHAINS, DRAWS, 3))


def correlated(normal, factor):
    """Of first order: `x_t = φ x_{t-1} + √(1 - φ²) ε_t`."""
    x = normal.copy()
    for t in range(1, DRAWS):
        x[:, t] = factor * x[:, t - 1] + np.sqrt(1 - factor**2) * normal[:, t]
    return x


def test_independent_draws_are_worth_as_many(normal):
    assert r_hat(normal).shape == (3,)
    assert (np.abs(r_hat(normal) - 1) < 0.003).all()
    for size in (bulk_size(normal), tail_size(normal)):
        np.testing.assert_allclose(size, CHAINS * DRAWS, rtol=0.1)


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_correlated_draws_are_worth_what_theory_says(normal, factor):
    """`(1 - φ) / (1 + φ)` of a draw each."""
    expected = CHAINS * DRAWS * (1 - factor) / (1 + factor)
    np.testing.assert_allclose(bulk_size(correlated(normal, factor)), expected, rtol=0.2)


def test_only_order_counts(normal):
    """Tails without a variance, as of Cauchy's density, change nothing."""
    x = correlated(normal, 0.5)
    np.testing.assert_allclose(bulk_size(np.sinh(3 * x)), bulk_size(x))
    np.testing.assert_allclose(tail_size(np.exp(x)), tail_size(x))


def test_chains_apart_or_of_unequal_width_are_seen(normal):
    apart = normal + np.array([0, 0, 0, 1.0])[:, None, None]
    wider = normal * np.array([1, 1, 1, 3.0])[:, None, None]
    trend = normal + np.linspace(-1, 1, DRAWS)[:, None]
    for chains in (apart, wider, trend):
        assert (r_hat(chains) > 1.05).all()
    assert (bulk_size(apart) < 200).all()


def test_too_few_draws_are_refused(normal):
    with pytest.raises(ValueError, match="at least 4 draws"):
        r_hat(normal[:, :3])
