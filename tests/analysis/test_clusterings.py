"""Laws of all ways to cluster latents, and what each is for."""

import sys

import numpy as np
import pytest

from cryojax_het.analysis.cluster_density import DenseClusters
from cryojax_het.analysis.cluster_mixture import BestMixture, MixtureOf
from cryojax_het.analysis.composition import adjusted_rand_index
from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.latent_clusters import KMeans, numbered

WAYS = {
    "kmeans": KMeans(count=3),
    "mixture": MixtureOf(count=3),
    "best mixture": BestMixture(most=6),
    "dense": DenseClusters(),
}
each = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


@pytest.fixture(scope="module")
def three():
    """Three clusters apart, of unlike sizes and shapes, and which each image is of."""
    rng = np.random.default_rng(0)
    true = np.repeat([0, 1, 2], [200, 120, 60])
    centre = np.array([[-4.0, 0.0], [0.0, 2.0], [4.0, -1.0]])
    width = np.array([[0.3, 0.8], [0.5, 0.2], [0.3, 0.3]])
    points = centre[true] + width[true] * rng.normal(size=(380, 2))
    order = rng.permutation(380)
    covariance = np.tile(0.01 * np.eye(2), (380, 1, 1))
    return LatentPosteriors(mean=points[order], covariance=covariance), true[order]


@each
def test_clusters_are_found_numbered_in_a_row_and_the_same_again(way, three):
    posteriors, true = three
    found = way.clusters(posteriors)
    inside = found.label >= 0
    assert inside.mean() > 0.9
    assert adjusted_rand_index(found.label[inside], true[inside]).value > 0.97
    np.testing.assert_array_equal(found.label[found.nearest], np.arange(3))
    assert (np.diff(found.centre[:, 0]) > 0).all() or (np.diff(found.centre[:, 0]) < 0).all()
    np.testing.assert_array_equal(found.sizes(), np.bincount(found.label[inside]))
    np.testing.assert_array_equal(way.clusters(posteriors).label, found.label)


def test_the_criterion_finds_one_where_there_is_one_and_dense_places_none():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(300, 2)) * [2.0, 0.5]
    cloud = LatentPosteriors(mean=points, covariance=np.tile(0.01 * np.eye(2), (300, 1, 1)))
    assert len(BestMixture(most=6).clusters(cloud).centre) == 1
    assert len(DenseClusters(least=100).clusters(cloud).centre) == 1


def test_images_in_no_cluster_are_in_none():
    points = np.array([[0.0], [1.0], [5.0], [6.0], [2.5]])
    found = numbered(points, np.array([3, 3, 0, 0, -1]))
    assert found.label[4] == -1
    np.testing.assert_allclose(np.sort(found.centre[:, 0]), [0.5, 5.5])
    np.testing.assert_array_equal(found.sizes(), [2, 2])


def test_faults(three, monkeypatch):
    posteriors = three[0]
    with pytest.raises(ValueError, match="2 to 380"):
        DenseClusters(least=1).clusters(posteriors)
    for module in ("sklearn.mixture", "sklearn.cluster"):
        monkeypatch.setitem(sys.modules, module, None)
    for way in (MixtureOf(count=2), DenseClusters()):
        with pytest.raises(ImportError, match="pip install"):
            way.clusters(posteriors)
