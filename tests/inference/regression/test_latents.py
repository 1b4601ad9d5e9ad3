"""Groups, distances, weights and graph functions, by closed forms."""

import numpy as np
import pytest

from cryojax_het.inference.regression.cloud import LatentCloud
from cryojax_het.inference.regression.distances import PairCovariance, SharedPrecision
from cryojax_het.inference.regression.graph import graph_basis
from cryojax_het.inference.regression.partition import bisect, half_groups
from cryojax_het.inference.regression.profiles import (
    COUNT,
    Epanechnikov,
    GaussianProfile,
    bandwidths,
)
from cryojax_het.inference.regression.spectral import Cells, misfit


@pytest.fixture(scope="module")
def line():
    """Latents along an interval, the second number nearly constant."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 1, 500))
    mean = np.stack([x, 0.001 * rng.normal(size=500)], axis=1)
    return LatentCloud(mean=mean, covariance=np.tile(np.diag([1e-3, 1e-3]), (500, 1, 1)))


def test_groups_are_equal_and_close(line):
    groups = bisect(line.mean, 7)
    counts = np.bincount(groups)
    assert counts.min() >= 500 // 7
    assert counts.max() <= 500 // 7 + 1
    spans = [np.ptp(line.mean[groups == g, 0]) for g in range(7)]
    assert sum(spans) < 1
    half = np.arange(500) % 3
    found, of_group = half_groups(line.mean, half, 5)
    assert len(of_group) == 10
    np.testing.assert_array_equal(found == -1, half == 0)
    np.testing.assert_array_equal(of_group[found[half > 0]] + 1, half[half > 0])
    with pytest.raises(ValueError, match="groups"):
        bisect(line.mean, 501)


def test_distances_and_weights_by_hand(line):
    target = line.image(100)
    apart = line.mean - line.mean[100]
    by_hand = np.sum(apart**2, axis=1)
    np.testing.assert_allclose(SharedPrecision().squared(line, target), by_hand / 1e-3)
    squared = PairCovariance().squared(line, target)
    np.testing.assert_allclose(squared, by_hand / 2e-3)
    np.testing.assert_allclose(
        Epanechnikov().weights(np.array([0.0, 1.0, 9.0]), 2.0), [0.75, 0.375, 0]
    )
    np.testing.assert_allclose(GaussianProfile().weights(np.array([2.0]), 1.0), np.exp(-1))
    tried = bandwidths(squared, np.arange(500) % 2 + 1)
    assert len(tried) == COUNT
    assert np.sum(squared[::2] <= tried[0]) >= 50
    assert tried[-2] > squared.max()
    # The last is that of the consensus: all images weigh alike.
    np.testing.assert_allclose(Epanechnikov().weights(squared, tried[-1]), 0.75, rtol=2e-3)
    with pytest.raises(ValueError, match="rows run from 0 to 499"):
        line.image(500)
    with pytest.raises(ValueError, match=r"has 2 numbers\. Got 3"):
        line.point(np.zeros(3))


def test_latents_that_are_missing_are_told():
    with pytest.raises(ValueError, match="1 images have no latent"):
        LatentCloud(mean=np.array([[0.0], [np.nan]]), covariance=np.ones((2, 1, 1)))


def test_graph_functions_of_an_interval_are_cosines(line):
    basis = graph_basis(line, 4)
    assert basis.eigenvalues[0] == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(basis.values[:, 0], 1, atol=1e-6)
    x = line.mean[:, 0]
    for k in (1, 2):
        cosine = np.cos(np.pi * k * (x - x.min()) / np.ptp(x))
        assert abs(np.corrcoef(basis.values[:, k], cosine)[0, 1]) > 0.97
    again = basis.at(line.mean, line.covariance)
    np.testing.assert_allclose(again[20:-20], basis.values[20:-20], atol=0.1)


def test_cells_solve_dense_least_squares():
    rng = np.random.default_rng(3)
    design, data = rng.normal(size=(30, 3)), rng.normal(size=30) + 1j * rng.normal(size=30)
    cells = Cells(
        right=(design.T @ data)[None],
        left=(design.T @ design)[None],
        shell=np.zeros(1, np.int64),
        times=np.ones(1),
        finer=1.0,
    )
    power = np.full((3, 1), 1e3)
    dense = np.linalg.solve(
        design[:, :2].T @ design[:, :2] + least_weight(design) * np.eye(2), design[:, :2].T @ data
    )
    found = cells.solved(2, power)
    np.testing.assert_allclose(found[0], dense, rtol=1e-9)
    residual = 0.5 * np.sum(np.abs(data - design[:, :2] @ dense) ** 2) - 0.5 * np.sum(
        np.abs(data) ** 2
    )
    assert misfit(found, cells) == pytest.approx(residual)


def least_weight(design):
    """The least weight of a direction: a thousandth of the mean, or the prior."""
    return max(1e-3, 1e-3 * np.trace(design.T @ design) / 3)
