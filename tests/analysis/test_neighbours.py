"""Neighbours against plain loops, and their chance level against shuffles."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.analysis.neighbours import (
    nearest,
    neighbour_overlap,
    neighbourhood_similarity,
    true_neighbours,
)
from cryojax_het.simulate.states import Coordinate, States


def circle(size):
    states = States(
        coordinates=(Coordinate(name="angle", period=2 * np.pi),),
        conformation=np.arange(size)[:, None] * 2 * np.pi / size,
        population=np.full(size, 1 / size),
    )
    return states.embedding(), states.distances()


def plain_nearest(latent, count):
    rows = []
    for i in range(len(latent)):
        away = np.linalg.norm(latent - latent[i], axis=1)
        away[i] = np.inf
        rows.append(np.argsort(away)[:count])
    return np.array(rows)


def test_nearest_rows_in_order_against_a_loop():
    latent = np.random.default_rng(0).standard_normal((80, 3))
    np.testing.assert_array_equal(nearest(latent, 7), plain_nearest(latent, 7))
    np.testing.assert_array_equal(nearest(latent, 79), plain_nearest(latent, 79))
    single = nearest(latent.astype(np.float32), 1)
    np.testing.assert_array_equal(single, plain_nearest(latent, 1))


def test_nearest_of_repeated_rows_are_near_others_drawn_evenly():
    rng = np.random.default_rng(1)
    place = rng.integers(0, 6, 60)
    latent = rng.standard_normal((6, 2))[place]
    drawn = np.zeros((60, 60))
    for seed in range(300):
        found = nearest(latent, 25, seed)
        away = np.linalg.norm(latent[:, None] - latent[found], axis=2)
        expected = np.sort(np.linalg.norm(latent[:, None] - latent, axis=2), axis=1)[:, 1:26]
        np.testing.assert_allclose(away, expected, atol=1e-12)
        assert all(len(set(row)) == 25 for row in found)
        assert (found != np.arange(60)[:, None]).all()
        np.add.at(drawn, (np.arange(60)[:, None], found), 1)
    # Each of the rows at the border of the neighbourhood comes as often as any other.
    distance = np.linalg.norm(latent[:, None] - latent, axis=2)
    for i in range(60):
        border = np.isclose(distance[i], np.sort(distance[i])[25]) & (np.arange(60) != i)
        share = drawn[i, border].mean() / 300
        assert np.abs(drawn[i, border] / 300 - share).max() < 5 * np.sqrt(0.25 / 300)


def test_rows_of_one_place_come_first_equally_often():
    latent = np.repeat([[0.0], [1.0], [3.0]], [5, 20, 30], axis=0)
    first = np.zeros(55)
    for seed in range(400):
        # 4 of its own place, then the 20 of the next, then some of the last.
        found = nearest(latent, 30, seed)[0]
        assert set(found[:4]) == {1, 2, 3, 4}
        assert set(found[4:24]) == set(range(5, 25))
        first[found[[0, 4, 24]]] += 1
    for rows in (slice(1, 5), slice(5, 25), slice(25, 55)):
        expected = 400 / len(first[rows])
        assert np.abs(first[rows] - expected).max() < 5 * np.sqrt(expected)


def test_collapsed_latent_draws_from_all():
    found = nearest(np.zeros((50, 2)), 5)
    assert len(np.unique(found)) > 45
    with pytest.raises(ValueError, match=r"1 to 49 are others. Got 50"):
        nearest(np.zeros((50, 2)), 50)


def test_true_neighbours_against_a_loop_with_ties():
    _, distances = circle(10)
    state = np.random.default_rng(2).integers(0, 8, 90)
    true = true_neighbours(distances, state, 13)
    for i in range(90):
        others = np.delete(np.arange(90), i)
        away = np.round(distances[state[i], state[others]], 6)
        limit = np.sort(away)[12]
        np.testing.assert_array_equal(true[state[i], state[others]], away <= limit)
    assert not true[9].any()


def test_similarity_is_the_share_by_a_loop():
    rng = np.random.default_rng(3)
    embedding, distances = circle(12)
    state = rng.integers(0, 12, 100)
    latent = embedding[state] + 0.05 * rng.standard_normal((100, 2))
    near, true = plain_nearest(latent, 10), true_neighbours(distances, state, 10)
    shares = [np.mean([true[state[i], state[j]] for j in near[i]]) for i in range(100)]
    score = neighbourhood_similarity(latent, distances, state)
    assert score.value == pytest.approx(np.mean(shares))
    assert 0.5 < score.value < 1
    others = ~np.eye(100, dtype=bool)
    assert score.chance == pytest.approx(true[state[:, None], state][others].mean())


def test_perfect_latent_scores_one_and_shuffled_ones_chance():
    rng = np.random.default_rng(4)
    embedding, distances = circle(20)
    state = rng.choice(20, 400, p=rng.dirichlet(np.ones(20)))
    latent = embedding[state]
    score = neighbourhood_similarity(latent, distances, state, 15)
    assert score.value == 1
    shuffled = [
        neighbourhood_similarity(rng.permutation(latent), distances, state, 15).value
        for _ in range(60)
    ]
    assert abs(np.mean(shuffled) - score.chance) < 4 * np.std(shuffled) / np.sqrt(60)
    collapsed = neighbourhood_similarity(np.ones((400, 3)), distances, state, 15)
    assert collapsed.value == pytest.approx(score.chance, abs=4 * 0.5 / np.sqrt(400 * 15))


def test_no_rotation_scale_or_reflection_changes_a_neighbour_score():
    rng = np.random.default_rng(5)
    _, distances = circle(20)
    latent, state = rng.standard_normal((300, 3)), rng.integers(0, 20, 300)
    turned = -7 * Rotation.random(rng=5).apply(latent) + 100
    assert neighbourhood_similarity(turned, distances, state) == neighbourhood_similarity(
        latent, distances, state
    )
    assert neighbour_overlap(latent, turned).value == 1


def test_a_monotone_cubic_moves_few_neighbours():
    # Neighbours along a line: only the two ends of each neighbourhood shift, where the cubic bends.
    t = np.random.default_rng(6).random((2000, 1))
    assert neighbour_overlap(t, t + t**3, 20).value > 0.95


def test_overlap_against_a_loop_and_its_chance_against_shuffles():
    rng = np.random.default_rng(7)
    first = rng.standard_normal((200, 2))
    second = first + 0.5 * rng.standard_normal((200, 2))
    one, other = plain_nearest(first, 9), plain_nearest(second, 9)
    expected = np.mean([len(set(a) & set(b)) / 9 for a, b in zip(one, other, strict=True)])
    score = neighbour_overlap(first, second, 9)
    assert score.value == pytest.approx(expected)
    values = [neighbour_overlap(first, rng.permutation(second), 9).value for _ in range(40)]
    assert abs(np.mean(values) - score.chance) < 4 * np.std(values) / np.sqrt(40)
    collapsed = neighbour_overlap(np.zeros((400, 1)), np.zeros((400, 1)), 20)
    assert collapsed.value == pytest.approx(collapsed.chance, rel=0.1)


def test_rows_and_states_that_disagree_are_errors():
    _, distances = circle(5)
    with pytest.raises(ValueError, match="Got 10 and 9"):
        neighbourhood_similarity(np.zeros((10, 1)), distances, np.zeros(9, int))
    with pytest.raises(ValueError, match=r"from 0 to 4.* Got 0 to 5"):
        neighbourhood_similarity(np.zeros((10, 1)), distances, np.array([0] * 9 + [5]))
