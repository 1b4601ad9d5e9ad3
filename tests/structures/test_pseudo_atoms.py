import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.sparse import csr_array

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.structures.pseudo_atoms import Placement, non_negative_weights, pseudo_atoms
from cryojax_het.volumes.gaussians import gaussian_density

GRID = FourierGrid(32, 2.0)


def density(positions, weights, widths):
    columns = jnp.asarray(positions), jnp.asarray(weights), jnp.asarray(widths)
    made = gaussian_density(*columns, GRID)
    return np.asarray(made, np.float64)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_non_negative_least_squares(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(size=(60, 20)) * (rng.uniform(size=(60, 20)) < 0.4)
    values = matrix @ rng.normal(size=20) + 0.1 * rng.normal(size=60)
    expected, _ = nnls(matrix, values)
    assert np.sum(expected == 0) >= 3
    found = non_negative_weights(csr_array(matrix), values)
    assert found.min() >= 0
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_planted_gaussians_are_found():
    """Eight, at least five widths apart."""
    rng = np.random.default_rng(1)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    positions = 9.0 * corners + rng.uniform(-1.5, 1.5, (8, 3))
    weights = rng.uniform(5, 20, 8)
    voxels = density(positions, weights, np.full(8, 2.4))
    found = pseudo_atoms(voxels, 2.0, Placement(2.4, tolerance=0.01))
    assert len(found.weights) == 8
    order = [np.argmin(np.linalg.norm(found.positions - p, axis=1)) for p in positions]
    assert sorted(order) == list(range(8))
    np.testing.assert_allclose(found.positions[order], positions, atol=0.05)
    np.testing.assert_allclose(found.weights[order], weights, rtol=0.02)
    assert found.residual <= 0.01


def test_model_of_a_blob_reaches_the_tolerance_it_states():
    """A map of 300 Gaussians wider than the pseudo-atoms, which overlap."""
    rng = np.random.default_rng(2)
    positions = rng.normal(size=(300, 3)) * np.array([9.0, 6.0, 5.0])
    voxels = density(positions, np.ones(300), np.full(300, 3.5))
    found = pseudo_atoms(voxels, 2.0, Placement(2.5, tolerance=0.03))
    again = density(found.positions, found.weights, np.full(len(found.weights), found.width))
    residual = np.linalg.norm(again - voxels) / np.linalg.norm(voxels)
    assert found.residual <= 0.03
    assert residual == pytest.approx(found.residual, rel=0.02)
    assert found.weights.min() > 0
    assert found.weights.sum() == pytest.approx(300, rel=0.01)


def test_refusals():
    with pytest.raises(ValueError, match="mask"):
        pseudo_atoms(-np.ones((16, 16, 16)), 2.0, Placement(2.4))
    voxels = density(np.zeros((1, 3)), np.ones(1), np.full(1, 6.0))
    with pytest.raises(ValueError, match="allow more"):
        pseudo_atoms(voxels, 2.0, Placement(2.4, most=3))
