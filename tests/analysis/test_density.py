"""Densities of molecules out of noisy, shrunk estimates; where counting estimates fails."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from cryojax_het.analysis.deconvolution import Deconvolution, third_derivatives
from cryojax_het.analysis.density import (
    LatentGrid,
    LatentPosteriors,
    histogram_density,
    kernel_density,
    latent_grid,
)

CUT, SHARE = 0.95, 0.12  # between the wells, and of the molecules in the second


def posteriors_of(truth, rng, noise=1.0):
    """Posteriors under N(0, I) of images that see `truth` [n, d] with noise of several widths."""
    variance = noise * rng.uniform(0.5, 1.8, len(truth))[:, None]
    seen = truth + np.sqrt(variance) * rng.normal(size=truth.shape)
    covariance = (variance / (1 + variance))[:, :, None] * np.eye(truth.shape[1])
    return LatentPosteriors(mean=seen / (1 + variance), covariance=covariance)


@pytest.fixture(scope="module")
def two_wells():
    """Molecules in two wells, one to seven, and their posteriors."""
    rng = np.random.default_rng(1)
    second = rng.random(3000) < SHARE
    truth = np.where(second, 2.2, -0.3) + 0.3 * rng.normal(size=3000)
    return posteriors_of(truth[:, None], rng)


@pytest.fixture(scope="module")
def wells_density(two_wells):
    return Deconvolution(resamples=0, folds=2).density(two_wells, latent_grid(two_wells, 60))


def difference(density):
    """Free energy of the second well over the first, k_B T."""
    share = density.share(density.grid.axes[0] > CUT)
    return np.log((1 - share) / share)


def test_the_free_energy_between_wells_is_right_where_counting_estimates_is_not(
    two_wells, wells_density
):
    density, grid = wells_density, wells_density.grid
    true = np.log((1 - SHARE) / SHARE)
    assert abs(difference(density) - true) < 0.2
    assert abs(difference(histogram_density(two_wells.mean, grid)) - true) > 0.25
    assert abs(difference(kernel_density(two_wells.mean, grid)) - true) > 0.25


def test_the_barrier_is_seen(wells_density):
    grid, energy = wells_density.grid, wells_density.free_energy()
    at = lambda z: energy[np.argmin(np.abs(grid.axes[0] - z))]
    assert at(CUT) > at(2.2) + 0.5
    assert energy.min() == 0


def test_bands_are_about_the_density_and_narrow_with_more_images():
    rng = np.random.default_rng(2)
    widths = []
    for count in (300, 3000):
        found = posteriors_of(rng.normal(size=(count, 1)), rng, 0.3)
        grid = LatentGrid((np.linspace(-3, 3, 31),))
        density = Deconvolution(resamples=10, folds=2).density(found, grid)
        low, high = density.band()
        middle = slice(10, 21)
        truth = multivariate_normal.pdf(grid.axes[0])
        assert np.abs(density.value - truth)[middle].max() < 0.12
        assert (low <= high).all()
        widths.append((high - low)[middle].mean())
    assert widths[1] < 0.6 * widths[0]


def test_two_coordinates_tell_a_correlation_that_estimates_hide():
    rng = np.random.default_rng(3)
    truth = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 1500)
    found = posteriors_of(truth, rng)
    grid = LatentGrid((np.linspace(-3.2, 3.2, 16),) * 2)
    density = Deconvolution(resamples=0, folds=2, steps=60).density(found, grid)
    weight = density.value.ravel() / density.value.sum()
    covariance = np.cov(grid.points().T, aweights=weight)
    assert covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) == pytest.approx(
        0.8, abs=0.12
    )
    assert np.corrcoef(found.mean.T)[0, 1] < 0.6


def test_likelihoods_are_posteriors_over_the_prior():
    rng = np.random.default_rng(4)
    root = rng.normal(size=(3, 2, 2)) * 0.4
    covariance = np.linalg.inv(np.eye(2) + root @ root.transpose(0, 2, 1))
    found = LatentPosteriors(mean=rng.normal(size=(3, 2)), covariance=covariance)
    points = rng.normal(size=(20, 2))
    log = found.log_likelihood(points)
    for row in range(3):
        posterior = multivariate_normal.logpdf(points, found.mean[row], covariance[row])
        expected = posterior - multivariate_normal.logpdf(points, np.zeros(2), np.eye(2))
        np.testing.assert_allclose(log[row], expected - expected.max(), atol=1e-9)


def test_an_image_that_tells_nothing_has_a_flat_likelihood():
    found = LatentPosteriors(mean=np.zeros((3, 1)), covariance=np.ones((3, 1, 1)) * (1 + 1e-7))
    assert np.abs(found.log_likelihood(np.linspace(-4, 4, 9)[:, None])).max() < 1e-6


def test_what_images_tell_of_a_coordinate():
    rng = np.random.default_rng(3)
    mean = rng.standard_normal((50, 3)) * [1e-3, 0.8, 0.5]
    factor = rng.standard_normal((50, 3, 3)) * 0.3
    covariance = np.eye(3) * [1.0, 0.3, 0.6] + factor @ factor.transpose(0, 2, 1) * [0, 1, 1]
    covariance = np.tril(covariance) + np.tril(covariance, -1).transpose(0, 2, 1)
    held = LatentPosteriors(mean=mean, covariance=covariance)
    nats = held.divergence()
    for k in range(3):  # the integral of the definition
        z = np.linspace(-12, 12, 20001)
        width = np.sqrt(covariance[:, k, k])[:, None]
        log = norm.logpdf(z, mean[:, k, None], width)
        each = np.sum(np.exp(log) * (log - norm.logpdf(z)), axis=1) * (z[1] - z[0])
        assert nats[k] == pytest.approx(each.mean(), rel=1e-5, abs=1e-7)
    np.testing.assert_array_equal(held.told(0.05), [1, 2])
    np.testing.assert_array_equal(held.told(100.0), [np.argmax(nats)])


def test_marginals_are_blocks():
    rng = np.random.default_rng(5)
    found = LatentPosteriors(
        mean=rng.normal(size=(4, 3)), covariance=np.eye(3)[None] + np.zeros((4, 1, 1))
    )
    part = found.along((2, 0))
    np.testing.assert_array_equal(part.mean, found.mean[:, [2, 0]])
    assert part.covariance.shape == (4, 2, 2)


@pytest.mark.parametrize("shape", [(12,), (8, 7)])
def test_only_quadratics_are_free_of_penalty(shape):
    grid = LatentGrid(tuple(np.linspace(-1, 2, n) for n in shape))
    penalty = third_derivatives(grid)
    points = grid.points()
    quadratic = points[:, 0] ** 2 - points[:, -1] * points[:, 0] + 3 * points[:, -1] - 1
    assert quadratic @ penalty @ quadratic < 1e-8
    cubic = points[:, 0] ** 2 * points[:, -1]
    assert cubic @ penalty @ cubic > 1
    assert np.linalg.matrix_rank(penalty, tol=1e-8 * np.abs(penalty).max()) == len(penalty) - (
        3 if len(shape) == 1 else 6
    )


def test_the_penalty_is_the_integral_of_the_third_derivative():
    grid = LatentGrid((np.linspace(0, 1, 200),))
    cubic = grid.axes[0] ** 3
    assert cubic @ third_derivatives(grid) @ cubic == pytest.approx(36, rel=0.02)


def test_histograms_count_every_image_once():
    points = np.array([[-9.0], [0.01], [0.02], [9.0]])
    density = histogram_density(points, LatentGrid((np.array([-1.0, 0.0, 1.0]),)))
    np.testing.assert_allclose(density.value, [0.25, 0.5, 0.25])


def test_faults():
    found = LatentPosteriors(mean=np.zeros((4, 2)), covariance=np.tile(np.eye(2) / 2, (4, 1, 1)))
    with pytest.raises(ValueError, match="does not fit"):
        Deconvolution().density(found, LatentGrid((np.linspace(0, 1, 5),)))
    with pytest.raises(ValueError, match="finite"):
        LatentPosteriors(mean=np.full((4, 2), np.nan), covariance=found.covariance)
    density = histogram_density(found.mean, LatentGrid((np.linspace(0, 1, 5),) * 2))
    with pytest.raises(ValueError, match="no band"):
        density.band()
