"""Conditions on images against what they say, polygons against matplotlib's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline

from cryojax_het.analysis.selections import (
    in_clusters,
    in_polygon,
    in_quantiles,
    in_range,
    of_rows,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 12))
def test_star_shaped_polygons_as_matplotlib_has_them(seed, corners):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.2, 2, corners)
    outline = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = rng.uniform(-2, 2, (500, 2))
    np.testing.assert_array_equal(
        in_polygon(points, outline), Outline(outline).contains_points(points)
    )


def test_of_a_crossed_outline_the_lobes_are_inside():
    bow = np.array([[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0]])
    points = np.array([[0.2, 1.0], [1.8, 1.0], [1.0, 0.2], [1.0, 1.8], [np.nan, 1.0]])
    np.testing.assert_array_equal(in_polygon(points, bow), [True, True, False, False, False])


def test_points_of_a_tiling_are_each_in_one_tile():
    points = np.stack(np.meshgrid(*[np.arange(7) / 2] * 2), axis=-1).reshape(-1, 2)
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    tiles = [square + np.array([x, y]) for x in range(4) for y in range(4)]
    assert (sum(in_polygon(points, tile).astype(int) for tile in tiles) == 1).all()


def test_ranges_quantiles_clusters_and_rows():
    values = np.array([0.0, 1.0, np.nan, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(np.flatnonzero(in_range(values, 1.0, 3.0)), [1, 3, 4])
    np.testing.assert_array_equal(np.flatnonzero(in_quantiles(values, 0.5, 1.0)), [3, 4, 5])
    label = np.array([0, 2, -1, 1, 2])
    np.testing.assert_array_equal(np.flatnonzero(in_clusters(label, np.array([2, 0]))), [0, 1, 4])
    np.testing.assert_array_equal(np.flatnonzero(of_rows(np.array([3, 1, 1]), 5)), [1, 3])


def test_faults():
    values = np.arange(4.0)
    with pytest.raises(ValueError, match="lower end"):
        in_range(values, 2.0, 1.0)
    with pytest.raises(ValueError, match="Quantiles"):
        in_quantiles(values, 0.2, 1.5)
    with pytest.raises(ValueError, match="no cluster 7"):
        in_clusters(np.array([0, 1]), np.array([1, 7]))
    with pytest.raises(ValueError, match="no row 4"):
        of_rows(np.array([4]), 4)
    with pytest.raises(ValueError, match="3 corners"):
        in_polygon(np.zeros((2, 2)), np.zeros((2, 2)))
