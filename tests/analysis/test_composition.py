"""Classes against scikit-learn, brute force over matchings, and shuffles."""

from itertools import permutations

import numpy as np
import pytest

from cryojax_het.analysis.composition import (
    adjusted_rand_index,
    cluster,
    contingency,
    match_classes,
    neighbour_accuracy,
)


def noisy_labels(seed=0, size=200, classes=4, wrong=0.3):
    rng = np.random.default_rng(seed)
    true = rng.choice(classes, size, p=[0.5, 0.3, 0.15, 0.05])
    found = np.where(rng.random(size) < wrong, rng.integers(0, classes, size), true)
    return rng.permutation(classes)[found] + 7, true


def test_rand_index_against_scikit_learn_and_over_pairs():
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(4):
        found, true = noisy_labels(seed)
        expected = metrics.adjusted_rand_score(true, found)
        assert adjusted_rand_index(found, true).value == pytest.approx(expected)
    table = contingency(found, true)
    assert table.sum() == 200
    assert table[1, 2] == np.sum((found == 8) & (true == 2))


def test_rand_index_is_one_up_to_names_and_nought_by_chance():
    _, true = noisy_labels()
    assert adjusted_rand_index(9 - 2 * true, true).value == pytest.approx(1)
    assert adjusted_rand_index(np.zeros(200, int), true).value == 0
    assert adjusted_rand_index(np.zeros(200, int), np.ones(200, int)).value == 1
    rng = np.random.default_rng(1)
    values = [adjusted_rand_index(rng.permutation(true), true).value for _ in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def test_matched_accuracy_is_the_best_over_all_namings():
    found, true = noisy_labels(2)
    names = np.unique(found)
    accuracies = {
        order: np.mean(np.array(order)[np.searchsorted(names, found)] == true)
        for order in permutations(range(4))
    }
    best = max(accuracies, key=lambda order: accuracies[order])
    score = match_classes(found, true)
    assert score.accuracy.value == pytest.approx(accuracies[best])
    assert score.accuracy.chance == pytest.approx(np.bincount(true).max() / 200)
    renamed = np.array(best)[np.searchsorted(names, found)]
    difference = np.bincount(renamed, minlength=4) - np.bincount(true, minlength=4)
    assert score.population_error == pytest.approx(np.abs(difference).sum() / 2 / 200)


def test_classes_without_a_match_count_in_full():
    true = np.repeat([0, 1], 50)
    split = match_classes(np.repeat([0, 1, 2], [50, 30, 20]), true)
    assert split.accuracy.value == pytest.approx(0.8)
    assert split.population_error == pytest.approx(0.2)
    merged = match_classes(np.zeros(100, int), true)
    assert merged.accuracy.value == merged.accuracy.chance == 0.5
    assert merged.population_error == pytest.approx(0.5)
    assert match_classes(true, true).population_error == 0


def test_neighbours_find_classes_of_unequal_size():
    rng = np.random.default_rng(3)
    true = np.repeat([0, 1, 2], [500, 50, 50])
    latent = np.eye(3)[true] * 5 + rng.standard_normal((600, 3))
    assert neighbour_accuracy(latent, true, 20).value > 0.97
    assert neighbour_accuracy(
        -3 * latent @ np.linalg.qr(rng.standard_normal((3, 3)))[0], true, 20
    ) == (neighbour_accuracy(latent, true, 20))
    values = [neighbour_accuracy(rng.permutation(latent), true, 20).value for _ in range(60)]
    assert abs(np.mean(values) - 1 / 3) < 4 * np.std(values) / np.sqrt(60) + 1 / 50
    # Plain majorities would call nearly all of these the large class.
    blurred = np.eye(3)[true] * 1.5 + rng.standard_normal((600, 3))
    assert neighbour_accuracy(blurred, true, 30).value > 0.62


def test_one_neighbour_is_scikit_learn_s_classifier():
    neighbors = pytest.importorskip("sklearn.neighbors")
    selection = pytest.importorskip("sklearn.model_selection")
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(4)
    true = rng.integers(0, 3, 150)
    latent = np.eye(3)[true] + 0.6 * rng.standard_normal((150, 3))
    model = neighbors.KNeighborsClassifier(1)
    predicted = selection.cross_val_predict(model, latent, true, cv=selection.LeaveOneOut())
    expected = metrics.balanced_accuracy_score(true, predicted)
    assert neighbour_accuracy(latent, true, 1).value == pytest.approx(expected)


def test_clusters_are_found_as_tight_as_scikit_learn_finds_them():
    sklearn_cluster = pytest.importorskip("sklearn.cluster")
    rng = np.random.default_rng(5)
    true = np.repeat(np.arange(5), 60)
    latent = 6 * rng.standard_normal((5, 2))[true] + rng.standard_normal((300, 2))
    labels = cluster(latent, 5, seed=1)
    spread = sum(np.sum((latent[labels == c] - latent[labels == c].mean(0)) ** 2) for c in range(5))
    model = sklearn_cluster.KMeans(5, n_init=10, random_state=0).fit(latent)
    assert spread <= model.inertia_ * 1.001
    np.testing.assert_array_equal(labels, cluster(latent, 5, seed=1))


def test_few_places_are_their_own_clusters():
    latent = np.array([[0.0], [1.0], [0.0], [1.0]])
    np.testing.assert_array_equal(cluster(latent, 3), [0, 1, 0, 1])
    assert (cluster(np.zeros((9, 2)), 4) == 0).all()
    with pytest.raises(ValueError, match=r"`classes` must be positive. Got 0"):
        cluster(latent, 0)
