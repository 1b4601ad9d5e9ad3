import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.simulate.molecule import (
    HingedMolecule,
    RingMolecule,
    hinge_positions,
    ring_positions,
)


def handedness(points):
    """Product of the skewnesses along right-handed principal axes: a mirror image changes its
    sign, a rotation does not."""
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes[:, 0] *= np.linalg.det(axes)
    along = centred @ axes
    return np.prod((along**3).mean(axis=0) / (along**2).mean(axis=0) ** 1.5)


@pytest.mark.parametrize("angle", [-0.5, 0.0, 0.5])
def test_chiral_and_without_symmetry(angle):
    points = np.asarray(hinge_positions(angle))
    assert abs(handedness(points)) > 1e-3
    assert handedness(points * [1, 1, -1]) == pytest.approx(-handedness(points))
    moments = np.linalg.eigvalsh(np.cov(points.T))
    assert np.all(moments[1:] / moments[:-1] > 1.15)


def test_only_the_arm_moves_and_rigidly():
    rest, bent = np.asarray(hinge_positions(0.0)), np.asarray(hinge_positions(0.7))
    np.testing.assert_allclose(bent[:220], rest[:220], atol=1e-12)
    distances = lambda p: np.linalg.norm(p[:, None] - p, axis=-1)
    np.testing.assert_allclose(distances(bent[220:]), distances(rest[220:]), atol=1e-10)
    assert np.linalg.norm(bent[220:] - rest[220:], axis=1).max() > 30
    np.testing.assert_allclose(rest.mean(axis=0), 0, atol=1e-10)


def test_slice_is_the_sum_of_its_gaussians():
    grid, angle = FourierGrid(16, 14.0), 0.4
    view = np.asarray(HingedMolecule().slice(jnp.asarray([angle]), jnp.eye(3), grid))
    x, y, _ = np.asarray(hinge_positions(angle)).T
    kx, ky = 2 / (16 * 14.0), -3 / (16 * 14.0)
    expected = np.exp(-2j * np.pi * (kx * x + ky * y)).sum()
    expected *= np.exp(-2 * np.pi**2 * 9 * (kx**2 + ky**2))
    np.testing.assert_allclose(view[-3, 2], expected, rtol=1e-9)


def test_crank_turns_about_x_clear_of_the_body():
    rest, turned = np.asarray(ring_positions(0.0)), np.asarray(ring_positions(2.0))
    np.testing.assert_allclose(turned[:220], rest[:220], atol=1e-12)
    np.testing.assert_allclose(rest.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(turned[:, 0], rest[:, 0], atol=1e-12)
    body = rest[:180] - np.asarray(hinge_positions(0.0))[:180]
    assert np.ptp(body, axis=0).max() < 1e-9
    # Of the arm, only what is near the axis may be near the body.
    axis = np.hypot(*(rest[220:, 1:] - rest[:220].mean(axis=0)[1:]).T)
    across = axis > 25
    assert across.sum() > 20
    for angle in np.linspace(0, 6, 13):
        arm = np.asarray(ring_positions(angle))[220:][across]
        assert np.linalg.norm(arm[:, None] - rest[:220], axis=-1).min() > 6.0
    full = np.asarray(ring_positions(2 * np.pi))
    np.testing.assert_allclose(full, rest, atol=1e-10)


@pytest.mark.parametrize("angle", [0.0, 1.5, 3.0, 4.5])
def test_ring_is_chiral_and_without_symmetry(angle):
    points = np.asarray(ring_positions(angle))
    moments = np.linalg.eigvalsh(np.cov(points.T))
    assert np.all(moments[1:] / moments[:-1] > 1.1)
    # Principal axes leave four proper ways to lay the mirror image over the molecule: none fits.
    _, axes = np.linalg.eigh(np.cov(points.T))
    own = (points - points.mean(axis=0)) @ axes
    for signs in ([-1, 1, 1], [1, -1, 1], [1, 1, -1], [-1, -1, -1]):
        assert cKDTree(own).query(own * signs)[0].mean() > 2.5


def test_conformer_has_the_gaussians_of_the_slice():
    for volume, places in ((HingedMolecule(), hinge_positions), (RingMolecule(), ring_positions)):
        conformer = volume.conformer(jnp.asarray([0.6]))
        np.testing.assert_allclose(conformer.positions, places(0.6), atol=1e-12)
        np.testing.assert_array_equal(volume.at(jnp.asarray([0.6])).positions, conformer.positions)
        assert (conformer.occupancies == 1).all()
