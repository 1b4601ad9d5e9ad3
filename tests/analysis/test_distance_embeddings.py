"""Laws that every embedding of distances keeps; classical scaling against its closed form."""

import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA
from sklearn.manifold import smacof, trustworthiness

from cryojax_het.analysis.classical_scaling import (
    ClassicalScaling,
    negative_mass,
    principal_coordinates,
)
from cryojax_het.analysis.distance_embedding import lengths, stress
from cryojax_het.analysis.neighbour_embedding import NeighbourEmbedding
from cryojax_het.analysis.stress_scaling import StressScaling

WAYS = {
    "classical": ClassicalScaling(),
    "stress": StressScaling(),
    "neighbours": NeighbourEmbedding(perplexity=5.0),
}
each = pytest.mark.parametrize("name", WAYS)


@pytest.fixture
def points():
    """Twelve points near a bent line in three dimensions."""
    t = np.linspace(0, 1, 12)
    rng = np.random.default_rng(0)
    return np.stack([4 * t, 1.5 * t**2, 0.3 * np.sin(6 * t)], 1) + 0.05 * rng.normal(size=(12, 3))


@each
def test_points_are_about_their_mean_by_decreasing_spread(points, name):
    found = WAYS[name].place(squareform(pdist(points)), 2)
    assert found.coordinates.shape == (12, 2)
    scale = found.coordinates.std()
    np.testing.assert_allclose(found.coordinates.mean(axis=0), 0, atol=1e-6 * scale)
    spread = found.coordinates.std(axis=0)
    assert spread[0] >= spread[1]
    product = found.coordinates[:, 0] @ found.coordinates[:, 1]
    assert abs(product) < 1e-6 * 12 * scale**2


@each
def test_neighbours_stay_near(points, name):
    apart = squareform(pdist(points))
    plane = WAYS[name].place(apart, 2).coordinates
    assert trustworthiness(apart, plane, n_neighbors=3, metric="precomputed") > 0.97


@each
def test_faulty_distances_are_refused(points, name):
    apart = squareform(pdist(points))
    with pytest.raises(ValueError, match="symmetric"):
        WAYS[name].place(apart + np.triu(apart), 1)
    with pytest.raises(ValueError, match="finite"):
        WAYS[name].place(apart - 1, 1)


@pytest.mark.parametrize("name", ["classical", "stress"])
def test_euclidean_distances_are_kept_exactly(points, name):
    apart = squareform(pdist(points))
    found = WAYS[name].place(apart, 3)
    np.testing.assert_allclose(lengths(found.coordinates), apart, atol=1e-9)
    assert found.stress < 1e-9
    np.testing.assert_allclose(found.coordinates, _signs(found.coordinates, points), atol=1e-9)


def _signs(ours, points):
    """Principal components by sklearn, with our signs."""
    peer = PCA(3).fit_transform(points)
    return peer * np.sign(np.sum(peer * ours, axis=0))


def test_stress_is_no_more_than_that_of_classical_scaling_and_as_low_as_a_peers(points):
    apart = squareform(pdist(points)) ** 0.7
    found = WAYS["stress"].place(apart, 2)
    classical = WAYS["classical"].place(apart, 2)
    assert found.stress < classical.stress
    peer, _ = smacof(
        apart, n_components=2, init=classical.coordinates, n_init=1, max_iter=2000, eps=1e-12
    )
    assert found.stress <= stress(peer, apart) * (1 + 1e-3)
    assert procrustes(peer, found.coordinates)[2] < 1e-3


def test_distances_of_no_space_show_as_negative_eigenvalues():
    """Three legs of a star: paths through the hub have lengths that no plane holds."""
    star = np.full((4, 4), 2.0)
    star[0, 1:] = star[1:, 0] = 1.0
    np.fill_diagonal(star, 0)
    values, _ = principal_coordinates(star)
    assert negative_mass(values) == pytest.approx(0.25 / (4.0 + 0.25), abs=1e-9)
