"""Paths along axes and along the density of images; clusters and the images at their centres."""

import numpy as np
import pytest

from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.latent_clusters import find_clusters
from cryojax_het.analysis.latent_paths import DensityGeodesic, component_path


def horseshoe(count=1500, noise=0.03, seed=0):
    """Images along three quarters of a circle, in order of the angle, and two ends."""
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 1.5 * np.pi, count))
    mean = np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise * rng.normal(size=(count, 2))
    return LatentPosteriors(mean=mean, covariance=np.tile(np.eye(2) * noise**2, (count, 1, 1)))


def test_a_component_is_followed_between_its_quantiles():
    rng = np.random.default_rng(0)
    latent = rng.normal([1, 2, 3], 1, (500, 3))
    path = component_path(latent, 1, 7)
    np.testing.assert_allclose(path[[0, -1], 1], np.quantile(latent[:, 1], (0.05, 0.95)))
    np.testing.assert_allclose(np.diff(path[:, 1], n=2), 0, atol=1e-12)
    np.testing.assert_allclose(path[:, [0, 2]], np.tile(latent.mean(axis=0)[[0, 2]], (7, 1)))


def test_a_geodesic_keeps_to_where_images_are():
    found = horseshoe()
    path = DensityGeodesic().between(found, 0, len(found) - 1, 15)
    radius = np.linalg.norm(path.latent, axis=1)
    assert np.abs(radius - 1).max() < 0.1
    assert path.images[0] == 0
    assert path.images[-1] == len(found) - 1
    assert len(path.latent) == 15
    steps = np.linalg.norm(np.diff(path.latent, axis=0), axis=1)
    assert steps.max() < 1.2 * steps.min()


def test_a_power_above_one_prefers_many_short_steps():
    """A straight crossing through few images is taken for length alone, the dense way round for
    density."""
    rng = np.random.default_rng(1)
    ring = horseshoe(1500, 0.02)
    crossing = np.linspace(ring.mean[0], ring.mean[-1], 12)[1:-1] + 0.01 * rng.normal(size=(10, 2))
    mean = np.concatenate([ring.mean, crossing])
    found = LatentPosteriors(mean=mean, covariance=np.tile(np.eye(2) * 1e-3, (len(mean), 1, 1)))
    ends = (0, len(ring) - 1)
    crossed = lambda path: np.count_nonzero(path.images >= len(ring))
    assert crossed(DensityGeodesic(power=1.0, neighbours=40).between(found, *ends, 5)) > 0
    assert crossed(DensityGeodesic(power=4.0, neighbours=40).between(found, *ends, 5)) == 0


def test_differences_count_by_how_well_images_tell_them():
    """The way through images of wide posteriors is the shorter one."""
    upper, lower = np.linspace(-1, 1, 41), np.linspace(-1, 1, 41)
    arcs = [np.stack([x, s * np.sqrt(1 - x**2)], 1) for s, x in ((1, upper), (-1, lower[1:-1]))]
    mean = np.concatenate(arcs)
    width = np.where(mean[:, 1] >= 0, 1e-3, 1e-1)
    found = LatentPosteriors(mean=mean, covariance=width[:, None, None] * np.eye(2))
    path = DensityGeodesic(neighbours=3).between(found, 0, 40, 5)
    assert (mean[path.images[1:-1], 1] < 0).all()


def test_separate_clouds_are_connected_by_more_neighbours():
    rng = np.random.default_rng(2)
    mean = np.concatenate([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 30])
    found = LatentPosteriors(mean=mean, covariance=np.tile(np.eye(2), (120, 1, 1)))
    path = DensityGeodesic(neighbours=5).between(found, 0, 119, 4)
    assert path.images[-1] == 119


def test_large_sets_are_thinned_but_for_the_ends():
    found = horseshoe(800)
    path = DensityGeodesic(limit=300).between(found, 3, 799, 6)
    np.testing.assert_array_equal(path.images[[0, -1]], [3, 799])


@pytest.mark.parametrize("ends", [(4, 4), (0, 800), (-1, 3)])
def test_ends_must_be_two_images(ends):
    with pytest.raises(ValueError, match="rows 0 to"):
        DensityGeodesic().between(horseshoe(800), *ends, 6)


def test_a_component_must_be_there():
    with pytest.raises(ValueError, match="counted from 1"):
        component_path(np.zeros((5, 2)), 2, 4)


def test_clusters_are_numbered_along_their_spread_and_have_an_image_each():
    rng = np.random.default_rng(3)
    place = rng.permutation(np.repeat(np.arange(5), 40))
    latent = np.stack([place * 3.0, np.zeros(200)], axis=1) + 0.2 * rng.normal(size=(200, 2))
    found = find_clusters(latent, 5)
    assert np.array_equal(found.label, place) or np.array_equal(found.label, 4 - place)
    np.testing.assert_array_equal(found.sizes(), 40)
    np.testing.assert_array_equal(found.label[found.nearest], np.arange(5))
    for number in range(5):
        inside = latent[found.label == number]
        np.testing.assert_allclose(found.centre[number], inside.mean(axis=0))
        distance = np.linalg.norm(latent - found.centre[number], axis=1)
        assert found.nearest[number] == np.argmin(distance)
