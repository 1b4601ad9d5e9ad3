"""Grids of directions and rotations: healpy's numbers, quadrature of harmonics, covering."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from cryojax_het.imaging.rotation import healpix_directions, local_grid, uniform_grid


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_directions_are_unit_vectors_and_as_many_as_pixels(order):
    directions = healpix_directions(order)
    assert directions.shape == (12 * 4**order, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-14)
    assert len(np.unique(directions.round(9), axis=0)) == len(directions)


@pytest.mark.parametrize(
    ("order", "pixel", "direction"),  # healpy 1.19: pix2vec(2**order, pixel)
    [
        (0, 0, (0.527046276695, 0.527046276695, 0.666666666667)),
        (0, 4, (1.0, 0.0, 0.0)),
        (0, 11, (0.527046276695, -0.527046276695, -0.666666666667)),
        (1, 5, (0.285235389544, 0.688619145905, 0.666666666667)),
        (1, 12, (0.942809041582, 0.0, 0.333333333333)),
        (1, 24, (-0.923879532511, -0.382683432365, 0.0)),
        (2, 0, (0.143583841168, 0.143583841168, 0.979166666667)),
        (2, 12, (0.563097269935, 0.150881458739, 0.8125)),
        (2, 64, (-0.924693230215, -0.183932919522, 0.333333333333)),
        (2, 190, (-0.143583841168, -0.143583841168, -0.979166666667)),
        (3, 4, (0.187601329224, 0.077707014884, 0.979166666667)),
        (3, 384, (-0.995184726672, -0.09801714033, 0.0)),
        (3, 766, (-0.07207475262, -0.07207475262, -0.994791666667)),
    ],
)
def test_directions_are_healpys(order, pixel, direction):
    np.testing.assert_allclose(healpix_directions(order)[pixel], direction, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_first_and_last_ring_have_four_pixels(order):
    z = healpix_directions(order)[:, 2]
    cap = 1 - 1 / (3 * 4**order)
    np.testing.assert_allclose(z[:4], cap, atol=1e-14)
    np.testing.assert_allclose(z[-4:], -cap, atol=1e-14)
    assert (z[4:-4] < cap - 1e-6).all()
    assert (np.diff(z) < 1e-14).all()


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_bands_of_equal_height_hold_equal_numbers(order):
    """Equal areas: by Archimedes the fraction above a height z is (1 - z)/2."""
    z = np.sort(healpix_directions(order)[:, 2])
    between = np.unique(z.round(12))
    between = (between[1:] + between[:-1]) / 2
    fraction = np.searchsorted(z, between) / len(z)
    # The edge of a band is known to half a ring.
    np.testing.assert_allclose(fraction, (1 + between) / 2, atol=1 / (4 * 2**order))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_harmonics_integrate_to_zero(order):
    x, y, z = healpix_directions(order).T
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    for degree in range(1, 2 * 2**order + 1):
        for m in range(-degree, degree + 1):
            mean = np.mean(sph_harm_y(degree, m, polar, azimuth)) * np.sqrt(4 * np.pi)
            # Sums over a ring vanish but for m = 0, 4, 8, ...; the rest is the pixels' quadrature.
            assert abs(mean) < (1e-12 if m % 4 or degree % 2 else 0.5 / 4**order)


@pytest.mark.parametrize("order", [0, 1])
def test_uniform_grid_covers_all_rotations(order):
    grid = uniform_grid(order)
    assert grid.shape == (72 * 8**order, 3, 3)
    np.testing.assert_allclose(
        grid @ grid.transpose(0, 2, 1), np.broadcast_to(np.eye(3), grid.shape), atol=1e-6
    )
    points = Rotation.from_matrix(grid).as_quat()
    tree = cKDTree(np.concatenate([points, -points]))
    random = Rotation.random(4000, rng=np.random.default_rng(0)).as_quat()
    angle = 4 * np.arcsin(tree.query(random)[0] / 2)
    # Half a step in the plane and half a pixel's diagonal out of it.
    step = np.deg2rad(60 / 2**order)
    assert angle.max() < np.hypot(step / 2, step * np.sqrt(2) / 2) * 1.2
    # As dense in every part: a random rotation's nearest distance is no worse than a cubic
    # lattice's of the same count, whose mean is 0.48 of the spacing.
    spacing = (8 * np.pi**2 / len(grid)) ** (1 / 3)
    assert angle.mean() < 0.6 * spacing


def test_uniform_grid_counts_and_mean():
    assert len(uniform_grid(2)) == 4608
    np.testing.assert_allclose(uniform_grid(1).mean(axis=0), 0, atol=1e-7)
    seconds = np.einsum("rij,rkl->ijkl", *2 * [uniform_grid(1)]) / len(uniform_grid(1))
    haar = np.einsum("ik,jl->ijkl", np.eye(3), np.eye(3)) / 3
    np.testing.assert_allclose(seconds, haar, atol=0.01)


def test_local_grid_is_a_cube_of_rotation_vectors():
    grid = np.asarray(local_grid(jnp.asarray(0.05), 2))
    assert grid.shape == (125, 3, 3)
    vectors = Rotation.from_matrix(grid).as_rotvec()
    cube = 0.05 * np.stack(np.mgrid[-2:3, -2:3, -2:3], axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(vectors, cube, atol=1e-12)
    np.testing.assert_allclose(grid[62], np.eye(3), atol=1e-15)
