"""Covariance of latents by least squares, against dense linear algebra and planted truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.linear_statistics import LinearStatistics
from cryojax_het.inference.projected_covariance import (
    CovarianceEquations,
    LatentCovariance,
    pooled,
    principal_volumes,
    without_contrast,
)

K, PIXELS = 4, 30


def random_operators(images, seed=0):
    """`A U` of each image in white noise of variance 1, `[b, pixels, k]`; and the images' `Aμ`."""
    rng = np.random.default_rng(seed)
    operators = rng.normal(size=(images, PIXELS, K)) * rng.uniform(0.3, 1, (images, 1, K))
    return operators, 2 * rng.normal(size=(images, PIXELS)), rng


def statistics_of(operators, mean, pixels):
    """What `linear_statistics` would say of these images."""
    every = np.concatenate([mean[..., None], operators], axis=2)
    gram = np.einsum("bpk,bpl->bkl", every, every)
    power = jnp.asarray(np.sum(pixels**2, axis=1))
    cross = jnp.asarray(np.einsum("bpk,bp->bk", every, pixels))
    return LinearStatistics(jnp.asarray(gram), cross, power)


def test_the_equations_are_those_of_kronecker_products():
    operators, _, rng = random_operators(6)
    gram = np.einsum("bpk,bpl->bkl", operators, operators)
    a = rng.normal(size=(6, K)) * 5
    weight = np.array([1.0, 1, 0, 1, 2, 1])
    found = CovarianceEquations.zeros(K)
    for part in (slice(0, 2), slice(2, 6)):
        found = found.with_images(gram[part], a[part], weight[part])
    system = sum(w * np.kron(g, g) for w, g in zip(weight, gram, strict=True))
    right = sum(w * (np.outer(x, x) - g) for w, g, x in zip(weight, gram, a, strict=True))
    dense = np.linalg.solve(system, right.ravel()).reshape(K, K)
    np.testing.assert_allclose(found.solve().second, dense, rtol=0, atol=1e-5 * np.abs(dense).max())
    mean = np.linalg.solve(np.tensordot(weight, gram, axes=1), weight @ a)
    np.testing.assert_allclose(found.solve().mean, mean, rtol=1e-5)
    assert found.images == 6


def test_noiseless_moments_give_the_covariance_back():
    """With `a aᵀ` at its expectation the planted matrix is the solution, whatever the operators."""
    operators, _, rng = random_operators(8, seed=1)
    root = rng.normal(size=(K, K))
    planted = root @ root.T
    gram = np.einsum("bpk,bpl->bkl", operators, operators)
    equations = CovarianceEquations.zeros(K).with_images(gram, np.zeros((8, K)), np.ones(8))
    right = np.einsum("bij,jk,bkl->il", gram, planted, gram)
    exact = CovarianceEquations(8.0, equations.first, equations.gram, right, equations.fourth)
    np.testing.assert_allclose(exact.solve().second, planted, atol=1e-5)


def test_it_is_unbiased_and_contrast_does_not_leak():
    """Latents that are far from normal; contrasts from 0.4 to 1.6, as noise along the mean."""
    images = 40_000
    operators, mean, rng = random_operators(images, seed=2)
    latents = rng.choice([-1.0, 1.0], size=(images, K)) * [1.0, 0.7, 0.4, 0.0] + [0.3, 0, 0, 0]
    contrast = 1 + 0.2 * rng.normal(size=(images, 1))
    clean = contrast * (mean + np.einsum("bpk,bk->bp", operators, latents))
    statistics = statistics_of(operators, mean, clean + rng.normal(size=clean.shape))
    gram, projection = without_contrast(statistics, (1.0, 0.2))
    found = CovarianceEquations.zeros(K).with_images(gram, projection, np.ones(images)).solve()
    np.testing.assert_allclose(found.covariance, np.diag([1.0, 0.49, 0.16, 0.0]), atol=0.02)
    np.testing.assert_allclose(found.mean, [0.3, 0, 0, 0], atol=0.02)


def test_a_known_contrast_is_divided_out():
    operators, mean, rng = random_operators(5, seed=3)
    pixels = rng.normal(size=(5, PIXELS))
    gram, projection = without_contrast(statistics_of(operators, mean, pixels), (0.7, 0.0))
    np.testing.assert_allclose(gram, 0.49 * np.einsum("bpk,bpl->bkl", operators, operators))
    expected = 0.7 * np.einsum("bpk,bp->bk", operators, pixels - 0.7 * mean)
    np.testing.assert_allclose(projection, expected)


def test_contrast_as_noise_along_the_mean_is_exact():
    """`<u, v>` under the covariance `1 + ρ² Aμ Aμᵀ`, by its inverse."""
    operators, mean, rng = random_operators(1, seed=4)
    pixels, width = rng.normal(size=(1, PIXELS)), 0.3
    gram, projection = without_contrast(statistics_of(operators, mean, pixels), (1.0, width))
    inverse = np.linalg.inv(np.eye(PIXELS) + width**2 * np.outer(mean[0], mean[0]))
    m, s = mean[0] @ mean[0], mean[0] @ pixels[0]
    amplitude = (s + 1 / width**2) / (m + 1 / width**2)
    expected = amplitude * operators[0].T @ inverse @ (pixels[0] - mean[0])
    np.testing.assert_allclose(projection[0], expected)
    np.testing.assert_allclose(gram[0], amplitude**2 * operators[0].T @ inverse @ operators[0])


def test_principal_volumes_have_the_covariance_and_are_orthogonal():
    rng = np.random.default_rng(5)
    volumes, root = rng.normal(size=(3, 4, 4, 4)), rng.normal(size=(3, 3))
    found = principal_volumes(volumes, root @ root.T).reshape(3, -1)
    flat = volumes.reshape(3, -1)
    np.testing.assert_allclose(found.T @ found, flat.T @ root @ root.T @ flat, atol=1e-10)
    products = found @ found.T
    np.testing.assert_allclose(products, np.diag(np.diagonal(products)), atol=1e-10)
    assert np.all(np.diff(np.diagonal(products)) <= 0)


def test_estimates_in_several_bases_are_averaged():
    """Of volumes that depend on each other; a variance that noise made negative in one counts."""
    rng = np.random.default_rng(6)
    volumes = rng.normal(size=(2, 3, 3, 3))
    one = LatentCovariance(np.array([0.5, 0.0]), np.array([[2.25, 0.5], [0.5, -0.2]]))
    two = LatentCovariance(np.array([0.1]), np.array([[1.01]]))
    found = pooled([(one, 3.0), (two, 1.0)])
    np.testing.assert_allclose(found.mean, [0.375, 0.0, 0.025])
    both = np.concatenate([volumes, volumes[1:]])
    flat = volumes.reshape(2, -1)
    expected = flat.T @ (0.75 * one.covariance + 0.25 * np.diag([0, 1.0])) @ flat
    result = principal_volumes(both, found.covariance).reshape(2, -1)
    np.testing.assert_allclose(result.T @ result, expected, atol=1e-6)


def test_negative_eigenvalues_are_floored_and_nothing_at_all_is_an_error():
    volumes = np.eye(8)[:2].reshape(2, 2, 2, 2)
    found = principal_volumes(volumes, np.diag([-0.5, 1.0])).reshape(2, -1)
    np.testing.assert_allclose(np.sum(found**2, axis=1), [1, 1e-4])
    with pytest.raises(ValueError, match="no variance"):
        principal_volumes(volumes, np.diag([-0.5, -1.0]))
    with pytest.raises(ValueError, match="no image"):
        CovarianceEquations.zeros(2).solve()


def test_statistics_of_jax_arrays_are_taken():
    gram = jax.random.normal(jax.random.key(0), (2, 3, 3), jnp.float32)
    statistics = LinearStatistics(gram, gram[:, 0], gram[:, 0, 0])
    left, right = without_contrast(statistics, (1.0, 0.1))
    assert left.dtype == right.dtype == np.float64
