"""Affine maps that follow a bend: of exact posteriors in a straight and in a bent gauge."""

import numpy as np
import pytest

from cryojax_het.analysis.calibration import align, gaussian_coverage
from cryojax_het.analysis.local_alignment import align_locally

SIZE, WIDTH = 3000, 0.15
HALF = slice(0, SIZE // 2), slice(SIZE // 2, SIZE)


def posteriors(dimensions):
    """Means and covariances of a standard normal `z` seen through noise of one width, and `z`."""
    rng = np.random.default_rng(dimensions)
    z = rng.standard_normal((SIZE, dimensions))
    shrink = 1 / (1 + WIDTH**2)
    mean = shrink * (z + WIDTH * rng.standard_normal(z.shape))
    return mean, np.tile(shrink * WIDTH**2 * np.eye(dimensions), (SIZE, 1, 1)), z


def covered(mean, covariance, truth):
    fitted, tested = HALF
    onto = align_locally(mean[fitted], truth[fitted], mean[tested])
    points = onto.points(mean[tested][:, None])[:, 0]
    return onto, gaussian_coverage(points, onto.covariances(covariance[tested]), truth[tested])


def test_where_the_truth_is_straight_it_is_the_affine_map_of_all():
    mean, covariance, z = posteriors(2)
    truth = z @ np.array([[2.0, 1.0], [0.0, 3.0]]) - 1
    onto, coverage = covered(mean, covariance, truth)
    whole = align(mean[HALF[0]], truth[HALF[0]])
    np.testing.assert_allclose(onto.matrix[7], whole.matrix)
    np.testing.assert_allclose(
        onto.points(mean[HALF[1]][:, None])[:, 0], whole.points(mean[HALF[1]])
    )
    for each in coverage:
        assert abs(each.observed - each.level) < 4 * each.error


def test_a_bend_is_followed_and_wrong_widths_stay_wrong():
    mean, covariance, z = posteriors(1)
    truth = np.tanh(0.8 * z)
    fitted, tested = HALF
    whole = align(mean[fitted], truth[fitted])
    straight = gaussian_coverage(
        whole.points(mean[tested]), whole.covariances(covariance[tested]), truth[tested]
    )
    assert abs(straight[0].observed - 0.5) > 0.1  # what one affine map makes of it
    for each in covered(mean, covariance, truth)[1]:
        assert abs(each.observed - each.level) < 0.04
    assert covered(mean, covariance / 4, truth)[1][1].observed < 0.75
    assert covered(mean, 4 * covariance, truth)[1][0].observed > 0.75


def test_maps_are_those_of_the_neighbours():
    rng = np.random.default_rng(4)
    latent = np.sort(rng.uniform(-1, 1, 800))[:, None]
    truth = np.abs(latent)
    found = align_locally(latent, truth, np.array([[-0.7], [0.7]]))
    np.testing.assert_allclose(found.matrix[:, 0, 0], [-1, 1], atol=1e-6)
    steps = align_locally(latent, np.sign(latent), np.array([[-0.7], [0.0]]))
    np.testing.assert_allclose(steps.matrix[0], align(latent, np.sign(latent)).matrix)
    with pytest.raises(ValueError, match="latent"):
        align_locally(latent, truth[:-1], latent)
