"""Transport against closed forms of a line and a circle, enumeration, and POT."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from cryojax_het.analysis.transport import (
    earth_movers_distance,
    population_distance,
    transport_plan,
)


def test_on_a_line_it_is_the_area_between_the_cumulative_distributions():
    rng = np.random.default_rng(0)
    place = np.sort(rng.random(40))
    first, second = rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(40))
    first[::3], second[1::4] = 0, 0
    first, second = first / first.sum(), second / second.sum()
    distance = np.abs(np.subtract.outer(place, place))
    area = np.sum(np.abs(np.cumsum(first - second))[:-1] * np.diff(place))
    found = earth_movers_distance(first, second, distance)
    assert found == pytest.approx(area, abs=1e-7)
    assert found == pytest.approx(wasserstein_distance(place, place, first, second), abs=1e-7)


def test_on_a_circle_it_is_the_area_about_the_median():
    rng = np.random.default_rng(1)
    first, second = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(30))
    step = np.abs(np.subtract.outer(np.arange(30), np.arange(30)))
    arc = np.minimum(step, 30 - step) / 30
    difference = np.cumsum(first - second)
    area = np.sum(np.abs(difference - np.median(difference))) / 30
    assert earth_movers_distance(first, second, arc) == pytest.approx(area, abs=1e-7)


def test_equal_masses_are_a_matching():
    rng = np.random.default_rng(2)
    cost, equal = rng.random((6, 6)), np.full(6, 1 / 6)
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in permutations(range(6)))
    plan = transport_plan(equal, equal, cost)
    assert np.sum(plan * cost) == pytest.approx(best / 6)


def test_plan_on_a_rectangle_against_pot():
    ot = pytest.importorskip("ot")
    rng = np.random.default_rng(3)
    first, second, cost = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(7)), rng.random((12, 7))
    first[4], second[0] = 0, 0
    first, second = first / first.sum(), second / second.sum()
    plan = transport_plan(first, second, cost)
    np.testing.assert_allclose(plan.sum(axis=1), first, atol=1e-8)
    np.testing.assert_allclose(plan.sum(axis=0), second, atol=1e-8)
    assert plan.min() >= -1e-12
    assert np.sum(plan * cost) == pytest.approx(ot.emd2(first, second, cost), abs=1e-7)


def test_four_hundred_states_against_pot():
    ot = pytest.importorskip("ot")
    rng = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) / 19
    distance = np.linalg.norm(grid[:, None] - grid, axis=2)
    first, second = rng.dirichlet(np.ones(400)), rng.dirichlet(np.ones(400))
    expected = ot.emd2(first, second, distance)
    assert earth_movers_distance(first, second, distance) == pytest.approx(expected, abs=1e-7)


def test_references_and_a_perfect_answer():
    place = np.linspace(0, 1, 11)
    distance = np.abs(np.subtract.outer(place, place))
    true = np.r_[np.zeros(5), 0.25, 0.5, 0.25, np.zeros(3)]
    score = population_distance(true, true, distance)
    assert score.distance == 0
    assert score.best == pytest.approx(0.05)
    assert score.worst == pytest.approx(0.6)
    assert score.uniform == pytest.approx(
        wasserstein_distance(place, place, np.ones(11), true), abs=1e-7
    )
    single = np.eye(11)[6]
    assert population_distance(single, true, distance).distance == pytest.approx(score.best)
    assert earth_movers_distance(np.eye(11)[0], true, distance) == pytest.approx(score.worst)


def test_one_state_and_shares_that_are_none():
    one = np.ones(1)
    assert earth_movers_distance(one, one, np.zeros((1, 1))) == 0
    assert transport_plan(one, np.full(3, 1 / 3), np.ones((1, 3))) == pytest.approx(1 / 3)
    assert transport_plan(np.full(3, 1 / 3), one, np.ones((3, 1))) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match=r"`second` must be shares of sum 1.* sum of 2"):
        earth_movers_distance(one, 2 * one, np.zeros((1, 1)))
    with pytest.raises(ValueError, match="`first` must be shares"):
        earth_movers_distance(np.array([1.5, -0.5]), np.full(2, 0.5), np.zeros((2, 2)))
