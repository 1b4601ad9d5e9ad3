"""Correlations against SciPy, scikit-learn and sums over pairs; what no gauge may change."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import spearmanr

from cryojax_het.analysis.correlation import (
    canonical_correlations,
    circular_correlation,
    circular_ranks,
    circular_readout_correlation,
    distance_correlation,
    linear_correlation,
    monotone_correlation,
    readout_correlation,
)


def test_spearman_against_scipy_with_ties_and_any_monotone_map():
    rng = np.random.default_rng(0)
    coordinate = rng.integers(0, 10, 200) / 9
    latent = coordinate + 0.3 * rng.standard_normal(200)
    score = monotone_correlation(latent, coordinate)
    assert score.value == pytest.approx(spearmanr(latent, coordinate).statistic)
    assert monotone_correlation(-latent - latent**3, coordinate).value == pytest.approx(score.value)
    assert monotone_correlation(np.exp(coordinate), coordinate).value == pytest.approx(1)
    assert monotone_correlation(np.ones(200), coordinate).value == 0


def test_spearman_of_shuffles_is_at_its_chance_level():
    rng = np.random.default_rng(1)
    latent = rng.standard_normal(150)
    values = [monotone_correlation(rng.permutation(latent), latent).value for _ in range(400)]
    chance = monotone_correlation(latent, latent).chance
    assert abs(np.mean(values) - chance) < 4 * np.std(values) / np.sqrt(400)


def folded(size, noise, seed=0):
    """A coordinate, and a latent in which no axis is monotone in it."""
    rng = np.random.default_rng(seed)
    t = rng.random(size)
    latent = np.stack([np.cos(5 * t), np.sin(5 * t), 0 * t], axis=1)
    return t, latent + noise * rng.standard_normal((size, 3))


def test_read_out_finds_a_coordinate_that_no_axis_has():
    t, latent = folded(1000, 0.0)
    assert readout_correlation(latent, t).value > 0.999
    assert monotone_correlation(latent[:, 0], t).value < 0.9
    shuffled = np.random.default_rng(2).permutation(t)
    assert abs(readout_correlation(latent, shuffled).value) < 4 / np.sqrt(1000)


def test_read_out_keeps_under_a_change_of_gauge():
    t, latent = folded(1000, 0.15)
    score = readout_correlation(latent, t).value
    turned = -4 * Rotation.random(rng=0).apply(latent) + 1
    assert readout_correlation(turned, t).value == pytest.approx(score)
    # Bending changes which images are the nearest, and so the average by its own noise.
    bent = latent + 0.3 * latent**3
    assert readout_correlation(bent, t).value == pytest.approx(score, abs=0.02)


def plain_fisher_lee(a, b):
    cross = one = other = 0.0
    for i in range(len(a)):
        for j in range(i):
            first, second = np.sin(a[i] - a[j]), np.sin(b[i] - b[j])
            cross, one, other = cross + first * second, one + first**2, other + second**2
    return cross / np.sqrt(one * other)


def test_circular_correlation_is_the_sum_over_pairs():
    rng = np.random.default_rng(3)
    angle = rng.uniform(0, 2 * np.pi, 60)
    latent = 1 - angle + 0.5 * rng.standard_normal(60)
    plain = plain_fisher_lee(latent, angle)
    assert plain < 0
    assert circular_correlation(latent, angle).value == pytest.approx(-plain)


def test_circular_correlation_up_to_reflection_and_origin():
    rng = np.random.default_rng(4)
    angle = rng.vonmises(0, 1, 500)
    assert circular_correlation(3 - angle, angle).value == pytest.approx(1)
    assert circular_correlation(np.mod(angle + 2, 2 * np.pi), angle).value == pytest.approx(1)
    assert circular_correlation(2 * angle, angle).value < 0.5
    values = [circular_correlation(rng.permutation(angle), angle).value for _ in range(50)]
    assert np.mean(values) < 4 / np.sqrt(500)
    assert circular_correlation(np.zeros(500), angle).value == 0


def test_ranks_take_away_the_pace_around_the_circle():
    angle = np.random.default_rng(5).uniform(0, 2 * np.pi, 400)
    uneven = np.mod(-(angle + 0.8 * np.sin(angle)) + 1, 2 * np.pi)
    assert circular_correlation(uneven, angle).value < 0.95
    ranks = circular_ranks(uneven), circular_ranks(angle)
    assert circular_correlation(*ranks).value == pytest.approx(1)


def test_circular_read_out_from_a_latent_of_many_dimensions():
    rng = np.random.default_rng(6)
    angle = rng.uniform(0, 2 * np.pi, 1000)
    latent = np.stack([np.cos(angle), np.sin(angle), np.cos(2 * angle)], axis=1)
    latent = Rotation.random(rng=1).apply(latent) + 0.05 * rng.standard_normal((1000, 3))
    assert circular_readout_correlation(latent, angle).value > 0.99
    assert circular_readout_correlation(-2 * latent, angle + 1).value > 0.99
    shuffled = circular_readout_correlation(latent, rng.permutation(angle)).value
    assert abs(shuffled) < 0.05


def test_canonical_correlations_against_scikit_learn():
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    rng = np.random.default_rng(7)
    second = rng.standard_normal((300, 2))
    first = second @ rng.standard_normal((2, 4)) + rng.standard_normal((300, 4))
    model = decomposition.CCA(2, max_iter=5000, tol=1e-10).fit(first, second)
    x, y = model.transform(first, second)
    expected = [abs(np.corrcoef(x[:, i], y[:, i])[0, 1]) for i in range(2)]
    np.testing.assert_allclose(canonical_correlations(first, second), expected, atol=1e-5)


def test_canonical_correlations_under_affine_maps_and_dependent_columns():
    rng = np.random.default_rng(8)
    second = rng.standard_normal((200, 2))
    first = np.concatenate([second[:, :1], rng.standard_normal((200, 2))], axis=1)
    found = canonical_correlations(first, second)
    assert found[0] == pytest.approx(1)
    assert found[1] < 0.5
    mapped = first @ rng.standard_normal((3, 3)) * [1e-6, 1, 1e6] + 5
    np.testing.assert_allclose(canonical_correlations(mapped, second), found, atol=1e-6)
    doubled = np.concatenate([first, first[:, :1] - first[:, 1:2], np.ones((200, 1))], axis=1)
    np.testing.assert_allclose(canonical_correlations(doubled, second), found, atol=1e-9)
    assert canonical_correlations(np.ones((200, 2)), second).size == 0


def test_linear_correlation_is_r_squared_and_its_chance_is_exact():
    rng = np.random.default_rng(9)
    latent, target = rng.standard_normal((120, 5)), rng.standard_normal((120, 2))
    target += latent[:, :2]
    design = np.concatenate([latent, np.ones((120, 1))], axis=1)
    one = target[:, :1]
    residual = one - design @ np.linalg.lstsq(design, one, rcond=None)[0]
    assert linear_correlation(latent, one).value == pytest.approx(1 - residual.var() / one.var())
    values = [linear_correlation(rng.permutation(latent), target).value for _ in range(300)]
    chance = linear_correlation(latent, target).chance
    assert abs(np.mean(values) - chance) < 4 * np.std(values) / np.sqrt(300)
    assert linear_correlation(target @ [[1.0, 2.0], [0.0, -3.0]], target).value == pytest.approx(1)
    assert linear_correlation(latent, np.ones((120, 1))).value == 0


def u_centred(points):
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    size = len(points)
    rows = distance.sum(axis=0) / (size - 2)
    centred = distance - rows - rows[:, None] + distance.sum() / ((size - 1) * (size - 2))
    np.fill_diagonal(centred, 0)
    return centred


def test_distance_correlation_from_the_centred_matrices():
    rng = np.random.default_rng(10)
    first = rng.standard_normal((600, 2))
    second = first[:, :1] ** 2 + 0.5 * rng.standard_normal((600, 1))
    a, b = u_centred(first), u_centred(second)
    expected = np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))
    assert distance_correlation(first, second).value == pytest.approx(expected)


def test_distance_correlation_of_similar_shapes_is_one_and_of_shuffles_nought():
    rng = np.random.default_rng(11)
    first = rng.standard_normal((200, 3))
    turned = -5 * Rotation.random(rng=2).apply(first) + 3
    assert distance_correlation(first, turned).value == pytest.approx(1)
    values = [distance_correlation(first, rng.permutation(first)).value for _ in range(60)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(60)
    assert distance_correlation(first, np.ones((200, 1))).value == 0
    drawn = distance_correlation(first, first[:, :1], limit=100).value
    assert drawn == pytest.approx(distance_correlation(first, first[:, :1]).value, abs=0.15)
    with pytest.raises(ValueError, match="4 images at least"):
        distance_correlation(first[:3], first[:3])
