"""Information imbalance against plain loops over rankings, and against what it must be."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import rankdata

from cryojax_het.analysis.imbalance import (
    Labelled,
    Points,
    information_imbalance,
    viewing_directions,
)


def plain_imbalance(first, second):
    """From two full matrices of distances, by midranks of all and the mean over tied neighbours."""
    size, ranks = len(first), []
    for i in range(size):
        others = np.delete(np.arange(size), i)
        rank = rankdata(np.round(second[i, others], 9))
        near = np.round(first[i, others], 9)
        ranks.append(rank[near == near.min()].mean())
    return 2 / size * np.mean(ranks)


def euclidean(points):
    return np.linalg.norm(points[:, None] - points, axis=2)


def line(states):
    return np.abs(np.subtract.outer(np.arange(states), np.arange(states))) / (states - 1)


def test_against_a_loop_without_ties():
    rng = np.random.default_rng(0)
    first = rng.standard_normal((300, 3))
    second = first[:, :2] + 0.3 * rng.standard_normal((300, 2))
    score = information_imbalance(Points(first), Points(second))
    assert score.value == pytest.approx(plain_imbalance(euclidean(first), euclidean(second)))
    # What has more dimensions tells more of the other than the reverse.
    assert score.value != information_imbalance(Points(second), Points(first)).value


def test_against_a_loop_with_ties_on_either_side():
    rng = np.random.default_rng(1)
    state = rng.integers(0, 9, 200)
    latent = state[:, None] + rng.standard_normal((200, 1))
    matrix = line(9)[state][:, state]
    labelled, points = Labelled(line(9), state), Points(latent)
    for a, b, first, second in (
        (labelled, points, matrix, euclidean(latent)),
        (points, labelled, euclidean(latent), matrix),
        (labelled, labelled, matrix, matrix),
        (Points(np.round(latent)), points, euclidean(np.round(latent)), euclidean(latent)),
    ):
        score = information_imbalance(a, b)
        assert score.value == pytest.approx(plain_imbalance(first, second))


def test_identical_is_zero_up_to_one_rank_and_states_tell_one_over_their_number():
    points = Points(np.random.default_rng(2).standard_normal((150, 4)))
    assert information_imbalance(points, points).value == pytest.approx(2 / 150)
    state = np.repeat(np.arange(10), 20)
    labelled = Labelled(line(10), state)
    assert information_imbalance(labelled, labelled).value == pytest.approx(1 / 10)


def test_unrelated_is_one_on_average_and_a_collapsed_latent_exactly():
    rng = np.random.default_rng(3)
    first, second = rng.standard_normal((400, 2)), rng.standard_normal((400, 2))
    values = [
        information_imbalance(Points(first), Points(rng.permutation(second))).value
        for _ in range(30)
    ]
    assert abs(np.mean(values) - 1) < 4 * np.std(values) / np.sqrt(30)
    assert np.std(values) < 1.2 / np.sqrt(400)
    collapsed = information_imbalance(Points(np.zeros((400, 1))), Points(second))
    assert collapsed.value == pytest.approx(1.0)


def test_a_latent_that_is_half_pose_tells_of_both():
    rng = np.random.default_rng(4)
    rotation = Rotation.random(1500, rng=4).as_matrix()
    state = rng.integers(0, 50, 1500)
    pose, truth = viewing_directions(rotation), Labelled(line(50), state)
    pure = Points(state[:, None] / 49 + 0.01 * rng.standard_normal((1500, 1)))
    mixed = Points(np.concatenate([pure.points, 0.3 * rotation[:, 2]], axis=1))
    assert information_imbalance(pure, truth).value < 0.1
    assert information_imbalance(pure, pose).value == pytest.approx(1, abs=0.1)
    assert information_imbalance(mixed, pose).value < 0.6


def test_views_are_ranked_by_their_angle():
    rotation = Rotation.random(120, rng=5).as_matrix()
    beam = np.einsum("nij,i->nj", rotation, [0.0, 0.0, 1.0])
    angle = np.arccos(np.clip(beam @ beam.T, -1, 1))
    other = np.random.default_rng(5).standard_normal((120, 2)) + 2 * beam[:, :2]
    score = information_imbalance(Points(other), viewing_directions(rotation))
    assert score.value == pytest.approx(plain_imbalance(euclidean(other), angle))
    # Turning the molecule's frame or any image in its plane changes no view.
    turned = (
        Rotation.from_euler("z", 1.0).as_matrix() @ rotation @ Rotation.random(rng=6).as_matrix()
    )
    assert information_imbalance(Points(other), viewing_directions(turned)).value == pytest.approx(
        score.value
    )


def test_gauge_of_a_latent_does_not_matter():
    rng = np.random.default_rng(6)
    state = rng.integers(0, 20, 500)
    latent = rng.standard_normal((500, 3)) + state[:, None] / 5
    truth = Labelled(line(20), state)
    turned = -3 * Rotation.random(rng=1).apply(latent) + 5
    score = information_imbalance(Points(latent), truth).value
    assert information_imbalance(Points(turned), truth).value == pytest.approx(score)
    # A smooth monotone map keeps nearest neighbours, but for those nearly as near on either side.
    one = latent[:, :1]
    bent = information_imbalance(Points(one / 5 + (one / 5) ** 3), truth).value
    assert bent == pytest.approx(information_imbalance(Points(one), truth).value, abs=0.02)


def test_drawn_queries_agree_with_all_within_their_error():
    rng = np.random.default_rng(7)
    first = rng.standard_normal((1500, 2))
    second = first + rng.standard_normal((1500, 2))
    every = information_imbalance(Points(first), Points(second)).value
    some = information_imbalance(Points(first), Points(second), queries=400).value
    assert some != every
    assert abs(some - every) < 3 * 1.2 / np.sqrt(400)


def test_different_images_are_an_error():
    with pytest.raises(ValueError, match="Got 10 and 9"):
        information_imbalance(Points(np.zeros((10, 1))), Points(np.zeros((9, 1))))
    with pytest.raises(ValueError, match="`state` must be from 0 to 1"):
        Labelled(line(2), np.array([0, 1, 2]))
