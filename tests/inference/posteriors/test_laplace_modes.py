"""Which ends of descents count as modes, and where descents start."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.posteriors.laplace_modes import best_ends, counted, spread
from cryojax_het.inference.posteriors.levenberg_marquardt import Rest


def test_ends_within_each_others_width_count_once_moving_ones_and_saddles_not_at_all():
    points = jnp.array([[0.0], [0.05], [3.0], [-3.0], [3.02], [8.0]])
    rests = Rest(
        point=points,
        value=jnp.array([1.0, 0.9, 2.0, 0.5, 1.9, 0.7]),
        gradient=jnp.zeros((6, 1)),
        curvature=jnp.full((6, 1, 1), 25.0),
        promise=jnp.array([0.0, 0.0, 0.0, 9.0, 0.0, 0.0]),
    )
    is_minimum = jnp.array([True, True, True, False, True, False])
    # The fourth is still moving, and on a slope that bends down, but it is the best there is.
    expected = [False, True, False, True, True, False]
    np.testing.assert_array_equal(counted(rests, is_minimum), expected)
    later = eqx.tree_at(lambda r: r.value, rests, jnp.array([1.0, 0.9, 2.0, 5.0, 1.9, 6.0]))
    expected = [False, True, False, False, True, False]
    np.testing.assert_array_equal(counted(later, is_minimum), expected)


def test_the_lowest_ends_come_first_and_repeated_ones_last():
    rests = Rest(
        point=jnp.array([[0.0], [0.05], [3.0], [-3.0]]),
        value=jnp.array([1.0, 0.9, 2.0, 0.5]),
        gradient=jnp.zeros((4, 1)),
        curvature=jnp.full((4, 1, 1), 25.0),
        promise=jnp.zeros(4),
    )
    np.testing.assert_array_equal(best_ends(rests, 3)[:, 0], [-3.0, 0.05, 3.0])
    np.testing.assert_array_equal(best_ends(rests, 4)[:, 0], [-3.0, 0.05, 3.0, 0.0])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_starts_arespread_like_the_prior(size):
    points = np.asarray(spread(401, size))
    assert np.isnan(points[0]).all()
    np.testing.assert_allclose(points[1:].mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(points[1:].T), np.eye(size).squeeze(), atol=0.1)
    few = np.asarray(spread(8, size))[1:]
    gaps = np.linalg.norm(few[:, None] - few, axis=2) + 9 * np.eye(7)
    assert gaps.min() > 0.1
