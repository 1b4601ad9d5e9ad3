"""Paths of least energy, landscapes over points, and votes of resampled maps."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from cryojax_het.analysis.energy_string import string_at_rest
from cryojax_het.analysis.latent_paths import evenly
from cryojax_het.analysis.map_landscape import MapLandscape, along_path
from cryojax_het.analysis.resampled_clusters import resampled_clusters, vote

# Müller & Brown 1979, Theor. Chim. Acta 53: three minima, two saddles.
HEIGHT = np.array([-200.0, -100.0, -170.0, 15.0])
A, B, C = (np.array(v) for v in ([-1, -1, -6.5, 0.7], [0, 0, 11, 0.6], [-10, -10, -6.5, 0.7]))
X0, Y0 = np.array([1, 0, -0.5, -1]), np.array([0, 0.5, 1.5, 1])


def muller_brown(points):
    """Energy and minus its gradient."""
    x, y = points[:, :1] - X0, points[:, 1:] - Y0
    terms = HEIGHT * np.exp(A * x**2 + B * x * y + C * y**2)
    slope = [(terms * (2 * A * x + B * y)).sum(1), (terms * (B * x + 2 * C * y)).sum(1)]
    return terms.sum(1), -np.stack(slope, axis=1)


def test_the_path_of_muller_and_brown_visits_minima_and_saddles():
    start = np.linspace([-0.9, 1.2], [0.8, 0.2], 60)
    path = string_at_rest(lambda x: x + 1e-4 * muller_brown(x)[1], start, 6000, 1e-8)
    known = [[-0.558, 1.442], [-0.822, 0.624], [-0.050, 0.467], [0.212, 0.293], [0.623, 0.028]]
    for place in known:
        fine = evenly(path, 2000)
        assert np.min(np.linalg.norm(fine - place, axis=1)) < 0.02
    # Along it no force is left across it.
    force, along = muller_brown(path)[1][1:-1], path[2:] - path[:-2]
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = force - np.sum(force * along, axis=1, keepdims=True) * along
    assert np.linalg.norm(across, axis=1).max() < 0.05 * np.linalg.norm(force, axis=1).max()


def test_nodes_are_even():
    nodes = evenly(np.array([[0.0, 0], [1, 0], [1, 3]]), 5)
    np.testing.assert_allclose(nodes, [[0, 0], [1, 0], [1, 1], [1, 2], [1, 3]])


@pytest.fixture
def wells():
    """Forty maps on an arc, with images in two wells near its ends."""
    place = np.linspace(0, np.pi, 40)
    points = np.stack([-np.cos(place), 0.6 * np.sin(place)], axis=1)
    well = lambda centre: np.exp(-((place - centre) ** 2) / (2 * 0.25**2))
    counts = np.round(500 * (well(0.6) + 0.6 * well(2.5)) + 5).astype(int)
    return points, counts, place


def test_the_path_passes_both_wells_along_the_arc(wells):
    points, counts, place = wells
    landscape = MapLandscape(points=points, counts=counts, width=0.1)
    path = landscape.path()
    for centre in (0.6, 2.5):
        minimum = np.array([-np.cos(centre), 0.6 * np.sin(centre)])
        assert np.min(np.linalg.norm(path - minimum, axis=1)) < 0.1
    middle = path[len(path) // 2]
    assert middle[1] > 0.45
    along = along_path(points, path, 4)
    inner = (place > 0.6) & (place < 2.5)
    assert spearmanr(along.place[inner], place[inner])[0] > 0.99
    assert set(along.group) == {0, 1, 2, 3}


def test_the_pull_is_the_force_of_the_energy(wells):
    points, counts, _ = wells
    landscape = MapLandscape(points=points, counts=counts, width=0.3)
    place, step = np.array([[0.2, 0.1], [-0.7, 0.4]]), 1e-5
    slope = [
        (landscape.energy(place + step * unit) - landscape.energy(place - step * unit)) / (2 * step)
        for unit in np.eye(2)
    ]
    np.testing.assert_allclose(landscape.pull(place), -0.09 * np.stack(slope, axis=1), atol=1e-6)


def test_every_image_is_left_out_once_and_votes_tell_its_state():
    rng = np.random.default_rng(0)
    state = rng.integers(0, 3, 600)
    latent = np.stack([4.0 * state, 0 * state], axis=1) + rng.normal(size=(600, 2)) * 0.3
    found = resampled_clusters(latent, 4, 3)
    assert ((found.member >= 0).sum(axis=0) == 3).all()
    np.testing.assert_array_equal(found.counts, np.bincount(found.member[found.member >= 0]))
    centre = [latent[(found.member == m).any(axis=0), 0].mean() for m in range(len(found.counts))]
    group = np.rint(np.array(centre) / 4).astype(int)
    votes = vote(found.member, group)
    np.testing.assert_array_equal(votes.label, state)
    assert votes.kept.all()


def test_an_image_whose_maps_disagree_has_no_label():
    member = np.array([[0, 0], [1, 1], [-1, 2], [2, -1]])
    votes = vote(member, np.array([0, 0, 1]))
    np.testing.assert_array_equal(votes.label, [0, 0])
    np.testing.assert_array_equal(vote(member, np.array([0, 1, 2])).label, [-1, -1])
    np.testing.assert_array_equal(votes.agreeing, [2, 2])


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="tenth of a union"):
        resampled_clusters(np.zeros((100, 2)), 4, 20)
