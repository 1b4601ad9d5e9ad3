"""The path of least free energy on a planted landscape: its wells, its pass, its bands."""

import numpy as np
import pytest

from cryojax_het.analysis.deconvolution import Deconvolution
from cryojax_het.analysis.density import (
    Density,
    LatentGrid,
    LatentPosteriors,
    histogram_density,
    kernel_density,
    latent_grid,
)
from cryojax_het.analysis.energy_path import StringMethod, with_other_coordinates
from cryojax_het.analysis.energy_surface import energy_surface, wells

HEIGHT, TILT, PLACE, BEND, WIDTH = 3.0, 1.0, 1.1, 0.8, 0.3
WELLS = np.array([[-PLACE, 0.0], [PLACE, 0.0]])
_U = 3 * TILT / (16 * HEIGHT)
PASS = np.array([PLACE * _U, BEND * (1 - _U**2)])


def energy(x, y):
    """Two wells joined by a bent valley; stationary exactly at `WELLS` and `PASS`, u = x / PLACE:
    ∂F/∂u = (u² - 1)(4 H u - 3 T / 4) on the valley's floor."""
    u = x / PLACE
    floor = HEIGHT * (u**2 - 1) ** 2 + TILT * (3 * u - u**3) / 4
    return floor + 0.5 * ((y - BEND * (1 - u**2)) / WIDTH) ** 2


BARRIER = float(energy(*PASS) - energy(*WELLS[0]))


def molecules(rng, count):
    x = np.linspace(-2.2, 2.2, 2201)
    floor = np.exp(-energy(x, BEND * (1 - (x / PLACE) ** 2)))
    x = rng.choice(x, count, p=floor / floor.sum())
    y = BEND * (1 - (x / PLACE) ** 2) + WIDTH * rng.normal(size=count)
    return np.stack([x, y], axis=1)


@pytest.fixture(scope="module")
def seen():
    """3,000 molecules and the posteriors of images with noise of several known widths."""
    rng = np.random.default_rng(0)
    truth = molecules(rng, 3000)
    variance = 0.1 * rng.uniform(0.5, 1.8, (3000, 1))
    mean = (truth + np.sqrt(variance) * rng.normal(size=truth.shape)) / (1 + variance)
    covariance = (variance / (1 + variance))[:, :, None] * np.eye(2)
    return LatentPosteriors(mean=mean, covariance=covariance)


@pytest.fixture(scope="module")
def grid(seen):
    return latent_grid(seen, 24)


@pytest.fixture(scope="module")
def found(seen, grid):
    density = Deconvolution(resamples=8, folds=2, steps=60).density(seen, grid)
    return StringMethod().between_wells(density)


def test_the_barrier_and_the_wells_are_within_their_bands(found):
    low, high = found.barrier_band()
    assert low < BARRIER < high
    low, high = found.difference_band()
    assert low < TILT < high
    low, high = found.band()
    inside = (low <= found.profile.energy + 1e-9) & (found.profile.energy <= high + 1e-9)
    assert inside.mean() > 0.8


def test_the_path_passes_through_both_wells_and_the_pass(found):
    points = found.profile.points
    np.testing.assert_allclose(points[[0, -1]], WELLS, atol=0.2)
    assert np.linalg.norm(points - PASS, axis=1).min() < 0.1
    assert np.linalg.norm(points[found.profile.energy.argmax()] - PASS) < 0.2
    floor = BEND * (1 - (points[:, 0] / PLACE) ** 2)
    assert np.abs(points[:, 1] - floor).max() < 0.25


def test_counted_estimates_have_another_barrier(seen, grid, found):
    for naive in (histogram_density(seen.mean, grid), kernel_density(seen.mean, grid)):
        path = StringMethod().between_wells(naive)
        assert abs(path.profile.barrier - BARRIER) > 4 * abs(found.profile.barrier - BARRIER)
        assert abs(path.profile.barrier - BARRIER) > 1


def exact(nodes=40):
    grid = LatentGrid((np.linspace(-2, 2, nodes), np.linspace(-1.2, 1.8, nodes)))
    return Density(grid=grid, value=np.exp(-energy(*np.meshgrid(*grid.axes, indexing="ij"))))


def test_on_the_exact_landscape_the_path_is_exact():
    path = StringMethod().between_wells(exact()).profile
    np.testing.assert_allclose(path.points[[0, -1]], WELLS, atol=0.02)
    assert path.barrier == pytest.approx(BARRIER, abs=0.03)
    assert path.difference == pytest.approx(TILT, abs=0.02)
    assert np.linalg.norm(path.points[path.energy.argmax()] - PASS) < 0.05
    # (∇F)⊥ = 0, by finite differences of the formula.
    points, h = path.points[1:-1], 1e-4
    x, y = points.T
    slope = np.stack([energy(x + h, y) - energy(x - h, y), energy(x, y + h) - energy(x, y - h)], 1)
    tangent = path.points[2:] - path.points[:-2]
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    across = slope[:, 0] * tangent[:, 1] - slope[:, 1] * tangent[:, 0]
    assert np.abs(across / (2 * h)).max() < 0.15


def test_ends_that_are_given_are_held():
    ends = np.array([[-0.9, -0.2], [0.5, 0.9]])
    path = StringMethod(points=30).between(exact(), ends).profile
    np.testing.assert_array_equal(path.points[[0, -1]], ends)
    assert path.points[:, 1].max() > 0.7
    assert len(path.points) == 30


def test_wells_are_told_from_ripples():
    x = np.linspace(-2, 2, 41)
    ripple = 0.2 * np.cos(np.pi * np.arange(41))
    surface = (3 * (x**2 - 1) ** 2 + 0.3 * x + ripple)[:, None] + 2 * x[None] ** 2
    assert len(wells(surface, 0.5)) == 2
    assert len(wells(surface, 0.0)) > 2
    assert wells(surface, 0.5)[0] == np.unravel_index(surface.argmin(), surface.shape)
    assert len(wells(surface, 50.0)) == 1


def test_other_coordinates_are_those_of_images_about():
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(3000, 2))
    third = plane[:, 0] ** 2 + 0.05 * rng.normal(size=3000)
    mean = np.stack([plane[:, 0], third, plane[:, 1]], axis=1)
    held = LatentPosteriors(mean=mean, covariance=np.tile(1e-3 * np.eye(3), (3000, 1, 1)))
    points = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.5]])
    latent = with_other_coordinates(points, (0, 2), held)
    np.testing.assert_array_equal(latent[:, [0, 2]], points)
    np.testing.assert_allclose(latent[:, 1], [1, 0, 1], atol=0.15)


def test_faults():
    x = np.linspace(-2, 2, 20)
    one = Density(grid=LatentGrid((x, x)), value=np.exp(-(x[:, None] ** 2) - x[None] ** 2))
    with pytest.raises(ValueError, match="single well"):
        StringMethod().between_wells(one)
    with pytest.raises(ValueError, match="Both ends"):
        StringMethod().between(one, np.array([[0.0, 0.0], [0.01, 0.0]]))
    with pytest.raises(ValueError, match="no resamples"):
        StringMethod().between(one, np.array([[-1.0, 0.0], [1.0, 0.0]])).band()
    with pytest.raises(ValueError, match="two coordinates"):
        energy_surface(Density(grid=LatentGrid((x[:3], x)), value=np.ones((3, 20))))
